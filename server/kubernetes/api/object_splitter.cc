// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/object_splitter.h"

#include <simdjson.h>

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "server/kubernetes/api/json_text.h"

namespace gantry::kubernetes {
namespace {

constexpr std::array<bool, 256> MakeStructural() {
  std::array<bool, 256> table{};
  for (const char c : {'"', '{', '}', '[', ']'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kStructural = MakeStructural();

// The buffer grows where that is needed, and is then used for the next object.
simdjson::padded_string_view Padded(std::string& buffer) {
  buffer.reserve(buffer.size() + JsonText::kPadding);
  return simdjson::padded_string_view(buffer.data(), buffer.size(), buffer.capacity());
}

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string TooLarge(std::string_view what, std::size_t limit) {
  return base::StrCat("has ", what, " of more than ", limit, " bytes");
}

std::string NoList(simdjson::error_code error) {
  return base::StrCat("is not a list in JSON (", simdjson::error_message(error), ")");
}

// An absent field leaves `text` as it is.
simdjson::error_code ReadText(simdjson::dom::object object, std::string_view key,
                              std::string& text) {
  std::string_view found;
  const simdjson::error_code error = object.at_key(key).get_string().get(found);
  if (error == simdjson::NO_SUCH_FIELD) return simdjson::SUCCESS;
  text = std::string(found);
  return error;
}

}  // namespace

const char* ObjectScanner::ScanString(const char* begin, const char* end) {
  const char* at = begin;
  if (escaped_) {
    escaped_ = false;
    ++at;
  }
  while (true) {
    while (at != end && *at != '"' && *at != '\\') ++at;
    if (at == end) return end;
    if (*at == '"') {
      in_string_ = false;
      return at + 1;
    }
    if (++at == end) {
      escaped_ = true;
      return end;
    }
    ++at;
  }
}

const char* ObjectScanner::Scan(const char* begin, const char* end) {
  const char* at = begin;
  while (at != end) {
    if (in_string_) {
      at = ScanString(at, end);
      continue;
    }
    while (at != end && !kStructural[static_cast<unsigned char>(*at)]) ++at;
    if (at == end) break;
    const char c = *at++;
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (--depth_ == 0) {
      return at;
    }
  }
  return end;
}

ListSplitter::ListSplitter(ObjectFunction on_item, std::size_t max_object_bytes)
    : on_item_(std::move(on_item)), max_object_bytes_(max_object_bytes) {}

bool ListSplitter::Add(std::string_view chunk) {
  const char* at = chunk.data();
  const char* const end = at + chunk.size();
  while (at != end && !failed()) {
    switch (place_) {
      case Place::kEnvelope:
        at = ScanEnvelope(at, end);
        break;
      case Place::kItemOrEnd:
      case Place::kItem:
      case Place::kCommaOrEnd:
        at = ScanBetweenItems(at, end);
        break;
      case Place::kInItem:
        at = ScanItem(at, end);
        break;
    }
  }
  return !failed();
}

const char* ListSplitter::ScanEnvelope(const char* begin, const char* end) {
  for (const char* at = begin; at != end; ++at) {
    const char c = *at;
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
        if (in_key_) key_ = envelope_.substr(key_begin_);
        in_key_ = false;
      }
    } else if (!IsBlank(c)) {
      const bool items_begin = std::exchange(items_are_next_, false) && c == '[';
      const bool begun = !envelope_.empty();
      if (items_begin) {
        envelope_ += "null";
        place_ = Place::kItemOrEnd;
        return at + 1;
      }
      if (envelope_depth_ == 0 && (begun || c != '{')) {
        Fail(begun ? "goes on after its end" : "is not a list in JSON (it is no object)");
        return end;
      }
      if (c == '"') {
        in_string_ = true;
        in_key_ = envelope_depth_ == 1 && std::exchange(key_is_next_, false);
        key_begin_ = envelope_.size() + 1;
      } else if (c == '{' || c == '[') {
        ++envelope_depth_;
        key_is_next_ = envelope_depth_ == 1;
      } else if (c == '}' || c == ']') {
        --envelope_depth_;
      } else if (c == ',') {
        key_is_next_ = envelope_depth_ == 1;
      } else if (c == ':') {
        items_are_next_ = envelope_depth_ == 1 && key_ == "items";
      }
    } else if (envelope_depth_ == 0) {
      continue;
    }
    if (envelope_.size() == max_object_bytes_) {
      Fail(TooLarge("fields beside its items", max_object_bytes_));
      return end;
    }
    envelope_.push_back(c);
  }
  return end;
}

const char* ListSplitter::ScanBetweenItems(const char* begin, const char* end) {
  for (const char* at = begin; at != end; ++at) {
    const char c = *at;
    if (IsBlank(c)) continue;
    const bool item_may_begin = place_ != Place::kCommaOrEnd;
    if (c == '{' && item_may_begin) {
      place_ = Place::kInItem;
      item_.clear();
      return at;
    }
    if (c == ']' && place_ != Place::kItem) {
      place_ = Place::kEnvelope;
      return at + 1;
    }
    if (c == ',' && !item_may_begin) {
      place_ = Place::kItem;
      continue;
    }
    Fail(item_may_begin ? "is not a list in JSON (an item is no object)"
                        : "is not a list in JSON (no comma between two items)");
    break;
  }
  return end;
}

const char* ListSplitter::ScanItem(const char* begin, const char* end) {
  const char* const stopped = item_scanner_.Scan(begin, end);
  const bool kept = Keep(begin, stopped);
  if (!item_scanner_.complete()) return stopped;
  place_ = Place::kCommaOrEnd;
  if (kept) HandOut();
  return stopped;
}

bool ListSplitter::Keep(const char* begin, const char* end) {
  const auto size = static_cast<std::size_t>(end - begin);
  if (size > max_object_bytes_ - item_.size()) {
    Fail(TooLarge("an item", max_object_bytes_));
    return false;
  }
  item_.append(begin, size);
  return true;
}

void ListSplitter::HandOut() {
  if (!simdjson::validate_utf8(item_)) {
    Fail("is not a list in JSON (an item is not UTF-8)");
    return;
  }
  refused_ = on_item_(Padded(item_));
}

absl::StatusOr<ListMetadata> ListSplitter::Finish() {
  if (!refused_.ok()) return refused_;
  if (malformed_.empty() && place_ != Place::kEnvelope) Fail("ends in the middle of its items");
  if (malformed_.empty() && envelope_.empty()) Fail("is empty");
  if (!malformed_.empty()) return absl::InvalidArgumentError(malformed_);

  simdjson::dom::parser parser;
  simdjson::dom::object list;
  simdjson::dom::element items;
  simdjson::dom::object metadata;
  ListMetadata read;
  simdjson::error_code error = parser.parse(envelope_).get_object().get(list);
  if (error == simdjson::SUCCESS) error = list.at_key("items").get(items);
  if (error == simdjson::SUCCESS && !items.is_null()) error = simdjson::INCORRECT_TYPE;
  if (error == simdjson::SUCCESS) error = list.at_key("metadata").get_object().get(metadata);
  if (error == simdjson::SUCCESS) {
    error = ReadText(metadata, "resourceVersion", read.resource_version);
  }
  if (error == simdjson::SUCCESS) error = ReadText(metadata, "continue", read.continue_token);
  if (error != simdjson::SUCCESS) return absl::InvalidArgumentError(NoList(error));
  return read;
}

LineSplitter::LineSplitter(ObjectFunction on_line, std::size_t max_line_bytes)
    : on_line_(std::move(on_line)), max_line_bytes_(max_line_bytes) {}

bool LineSplitter::Add(std::string_view chunk) {
  while (!chunk.empty() && status_.ok()) {
    const void* const found = std::memchr(chunk.data(), '\n', chunk.size());
    const bool complete = found != nullptr;
    const std::size_t size =
        complete ? static_cast<std::size_t>(static_cast<const char*>(found) - chunk.data())
                 : chunk.size();
    if (size > max_line_bytes_ - line_.size()) {
      status_ = absl::InvalidArgumentError(
          base::StrCat("has a line of more than ", max_line_bytes_, " bytes"));
      break;
    }
    line_.append(chunk.data(), size);
    chunk.remove_prefix(size);
    if (!complete) break;
    chunk.remove_prefix(1);
    if (!absl::StripAsciiWhitespace(line_).empty()) {
      status_ = on_line_(Padded(line_));
    }
    line_.clear();
  }
  return status_.ok();
}

}  // namespace gantry::kubernetes
