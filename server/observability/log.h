// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_LOG_H_
#define GANTRY_SERVER_OBSERVABILITY_LOG_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spdlog {
class logger;
}

namespace gantry::observability {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

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
  explicit Logger(std::shared_ptr<spdlog::logger> sink) : sink_(std::move(sink)) {}

  Logger With(std::initializer_list<Field> fields) const;

  void Debug(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kInfo, message, fields);
  }
  void Warning(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message, std::initializer_list<Field> fields = {}) const {
    Log(LogLevel::kError, message, fields);
  }

 private:
  void Log(LogLevel level, std::string_view message, std::initializer_list<Field> fields) const;

  std::shared_ptr<spdlog::logger> sink_;
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_LOG_H_
