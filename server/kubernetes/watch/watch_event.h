// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_WATCH_WATCH_EVENT_H_
#define GANTRY_SERVER_KUBERNETES_WATCH_WATCH_EVENT_H_

#include <simdjson.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gantry::kubernetes {

// One line of a watch.
struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kError;
  // The object's text inside the line.
  simdjson::padded_string_view object;
};

// "ADDED", ...: as the API spells it.
std::string_view WatchEventTypeName(WatchEvent::Type type);

// What a bookmark says.
struct Bookmark {
  std::string resource_version;
  // The objects that were there at first have all been sent.
  bool initial_events_end = false;
};

// Reads a watch's lines. Of one that is written as API servers write it nothing is parsed here; any
// other is read with one parser, whose memory is used again. Owned by
// whoever reads the watch; one thread.
class WatchEventReader {
 public:
  // What is returned points into `line`. The error (kInvalidArgument) says what is wrong with it.
  absl::StatusOr<WatchEvent> Read(simdjson::padded_string_view line);
  absl::StatusOr<Bookmark> ReadBookmark(simdjson::padded_string_view object);
  // The `code` of the Status object that an ERROR event has; 500 when it has none.
  int ReadErrorCode(simdjson::padded_string_view object);

 private:
  simdjson::ondemand::parser parser_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_WATCH_WATCH_EVENT_H_
