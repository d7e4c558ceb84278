// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_OBJECT_SPLITTER_H_
#define GANTRY_SERVER_KUBERNETES_API_OBJECT_SPLITTER_H_

#include <simdjson.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gantry::kubernetes {

// More in one object of a list, or in one line of a watch, is the stream's failure.
inline constexpr std::size_t kMaxObjectBytes = std::size_t{16} << 20;

// Finds the end of a JSON object whose text comes in pieces: it looks for strings and brackets, and
// leaves the rest to whoever reads the object. Owned by whoever reads the text; one thread.
class ObjectScanner {
 public:
  // Takes the next piece, the first of which begins with the object's "{". Returns what lies behind
  // the object, or `end` when that goes on.
  const char* Scan(const char* begin, const char* end);
  // The last piece had the object's end; the next one begins another object.
  bool complete() const { return depth_ == 0; }

 private:
  const char* ScanString(const char* begin, const char* end);

  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;  // the next character belongs to a backslash
};

// Takes an object's text, which is valid during the call. An error ends the splitting.
using ObjectFunction = std::function<absl::Status(simdjson::padded_string_view json)>;

// What is used of a list beside its items.
struct ListMetadata {
  std::string resource_version;
  std::string continue_token;
};

// Cuts the items out of a list's body while it comes, so that a list of a gigabyte needs no more
// memory than its largest item. Only where an item begins and ends is looked at, and that it is
// UTF-8: what is in it is for its receiver to read. Every byte is looked at once. Owned by whoever
// reads the body; one thread.
class ListSplitter {
 public:
  explicit ListSplitter(ObjectFunction on_item, std::size_t max_object_bytes = kMaxObjectBytes);

  // Takes the next piece of the body. False when the rest is of no use.
  bool Add(std::string_view chunk);

  // The error that `on_item` returned; OK when it took everything.
  const absl::Status& refused() const { return refused_; }

  // After the body's end. Errors: refused(); else kInvalidArgument, whose message says what is
  // wrong with the body ("ends in the middle of its items").
  absl::StatusOr<ListMetadata> Finish();

 private:
  enum class Place { kEnvelope, kItemOrEnd, kItem, kInItem, kCommaOrEnd };

  // Each takes bytes from `begin` on and returns where it stopped.
  const char* ScanEnvelope(const char* begin, const char* end);
  const char* ScanBetweenItems(const char* begin, const char* end);
  const char* ScanItem(const char* begin, const char* end);
  // Appends to the item that is being read; false when it is too large.
  bool Keep(const char* begin, const char* end);
  void HandOut();
  void Fail(std::string malformed) { malformed_ = std::move(malformed); }
  bool failed() const { return !malformed_.empty() || !refused_.ok(); }

  const ObjectFunction on_item_;
  const std::size_t max_object_bytes_;
  Place place_ = Place::kEnvelope;
  ObjectScanner item_scanner_;
  std::string item_;
  // The list without its items, which are replaced by null.
  std::string envelope_;
  bool in_string_ = false;
  bool escaped_ = false;  // the next character belongs to a backslash
  std::size_t envelope_depth_ = 0;
  bool key_is_next_ = false;
  bool in_key_ = false;
  std::size_t key_begin_ = 0;
  std::string key_;
  bool items_are_next_ = false;
  std::string malformed_;
  absl::Status refused_;
};

// Cuts the lines out of a watch's body while it comes. A line that the body's end cuts off is not
// handed out, and neither is an empty one. Owned by whoever reads the body; one thread.
class LineSplitter {
 public:
  explicit LineSplitter(ObjectFunction on_line, std::size_t max_line_bytes = kMaxObjectBytes);

  // Takes the next piece of the body. False when the rest is of no use: see status().
  bool Add(std::string_view chunk);

  // The body so far ends in the middle of a line.
  bool in_line() const { return !line_.empty(); }

  // The error that `on_line` returned; kInvalidArgument for a line that is too long; else OK.
  const absl::Status& status() const { return status_; }

 private:
  const ObjectFunction on_line_;
  const std::size_t max_line_bytes_;
  std::string line_;
  absl::Status status_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_OBJECT_SPLITTER_H_
