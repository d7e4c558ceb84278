// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_JSON_TEXT_H_
#define GANTRY_SERVER_KUBERNETES_API_JSON_TEXT_H_

#include <simdjson.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace gantry::kubernetes {

// The text of a JSON document. simdjson reads in place, and some bytes beyond the end: a text that
// is kept in this type has them, so nobody has to copy it, or to know about them. A value that is
// moved and not copied; owned by whoever received the document.
class JsonText {
 public:
  // What simdjson may read beyond the end. A buffer that has reserved so many bytes more than it
  // will hold is made a JsonText without another allocation.
  static constexpr std::size_t kPadding = simdjson::SIMDJSON_PADDING;

  JsonText() = default;
  explicit JsonText(std::string text) : text_(std::move(text)) {
    text_.reserve(text_.size() + kPadding);
  }
  JsonText(JsonText&&) noexcept = default;
  JsonText& operator=(JsonText&&) noexcept = default;
  JsonText(const JsonText&) = delete;
  JsonText& operator=(const JsonText&) = delete;

  std::string_view text() const { return text_; }
  simdjson::padded_string_view padded() const {
    return simdjson::padded_string_view(text_.data(), text_.size(), text_.capacity());
  }

 private:
  std::string text_;
};

// What to return when reading `json`, which the API server sent, has failed by `why`: when it is no
// JSON at all the fault is that of the server or of a proxy before it, and the error is of
// ErrorKind::kMalformedResponse; else `why`, which speaks of the object. It reads the text once
// more, which only a failure is worth.
absl::Status WhyUnreadable(simdjson::padded_string_view json, absl::Status why);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_JSON_TEXT_H_
