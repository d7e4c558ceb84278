// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_LOG_H_
#define GANTRY_SERVER_OBSERVABILITY_LOG_H_

#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace spdlog {
class logger;
}

namespace gantry::observability {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
// kJson: one JSON object a line, "time" (RFC 3339 with milliseconds, UTC), "level" and "message"
// first. kText: `time LEVEL message name=value ...`, for reading on a terminal.
enum class LogFormat { kJson, kText };

// A structured log: each line is a sentence and named values. A Logger made by With() repeats its
// fields on every line, so that what belongs to one call is found by its request id, project or
// stage. Cheap to copy; any thread may use it. Values are escaped, so that no input can forge a
// line; secrets never belong in here.
class Logger {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  // Discards everything: for tests that do not look at the log.
  Logger() = default;
  // Lines go to `sink` already formatted: its pattern should be "%v". Its level decides which are
  // written.
  explicit Logger(std::shared_ptr<spdlog::logger> sink, LogFormat format = LogFormat::kJson)
      : sink_(std::move(sink)), format_(format) {}

  // A logger with these fields as well. A field named like an earlier one replaces it, here and
  // on a single line.
  Logger With(std::initializer_list<Field> fields) const;

  // Whether a line of this level is written: whoever would have to work for its values asks first.
  bool Writes(LogLevel level) const;

  void Debug(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kInfo, message, fields);
  }
  // Who changed what: written whatever the level is, as "info".
  void Audit(std::string_view message, std::initializer_list<Field> fields) const {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warning(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kError, message, fields);
  }

 private:
  void Log(LogLevel level, std::string_view message, std::initializer_list<Field> fields) const;
  void Write(LogLevel level, std::string_view message, std::initializer_list<Field> fields) const;

  std::shared_ptr<spdlog::logger> sink_;
  LogFormat format_ = LogFormat::kJson;
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Writes lines of at least `level` to the standard error stream.
Logger MakeLogger(LogFormat format, LogLevel level);
// Writes to `out`, which outlives the logger and its copies.
Logger MakeLogger(LogFormat format, LogLevel level, std::ostream& out);

// One line of the log without its line feed. Whatever bytes message and values hold, the result is
// one line of valid UTF-8 in which nothing but the caller's structure looks like structure: control
// characters are escaped, invalid UTF-8 becomes U+FFFD. A field that is named like one of the
// line's own (time, level, message) gets a trailing underscore.
std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, const std::vector<Logger::Field>& fields);

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_LOG_H_
