// SPDX-License-Identifier: Apache-2.0
#include "server/observability/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"

namespace gantry::observability {
namespace {

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// A JSON string with its quotes. JSON lets DEL, the C1 controls and the Unicode line separators
// stand as they are; terminals and line readers act on them, so they are escaped as well.
std::string Quoted(std::string_view text) {
  const std::string json = nlohmann::json(std::string(text))
                               .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string quoted;
  quoted.reserve(json.size());
  const auto byte = [&json](std::size_t i) {
    return i < json.size() ? static_cast<unsigned char>(json[i]) : 0U;
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (byte(i) == 0x7f) {
      quoted += "\\u007f";
    } else if (byte(i) == 0xc2 && byte(i + 1) < 0xa0) {
      absl::StrAppendFormat(&quoted, "\\u%04x", byte(i + 1));
      i += 1;
    } else if (byte(i) == 0xe2 && byte(i + 1) == 0x80 && (byte(i + 2) | 1U) == 0xa9) {
      absl::StrAppendFormat(&quoted, "\\u20%02x", byte(i + 2) & 0x3fU);
      i += 2;
    } else {
      quoted += json[i];
    }
  }
  return quoted;
}

// As it is where it can be read only one way, else quoted. `special` are the characters that would
// make it read as something else.
std::string QuotedIfNeeded(std::string_view text, std::string_view special) {
  std::string quoted = Quoted(text);
  const std::string_view inner = std::string_view(quoted).substr(1, quoted.size() - 2);
  const bool plain =
      !text.empty() && inner == text && text.find_first_of(special) == std::string_view::npos;
  return plain ? std::string(text) : quoted;
}

std::string FieldName(std::string_view name) {
  const bool reserved = name == "time" || name == "level" || name == "message";
  return reserved ? std::string(name) + "_" : std::string(name);
}

Logger MakeLogger(LogFormat format, LogLevel level, spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("gantry", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(SpdlogLevel(level));
  return Logger(std::move(logger), format);
}

}  // namespace

std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, const std::vector<Logger::Field>& fields) {
  const std::string when = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  if (format == LogFormat::kJson) {
    std::string line = absl::StrCat("{\"time\":\"", when, "\",\"level\":\"", LevelName(level),
                                    "\",\"message\":", Quoted(message));
    for (const Logger::Field& field : fields) {
      absl::StrAppend(&line, ",", Quoted(FieldName(field.name)), ":", Quoted(field.value));
    }
    return line + "}";
  }
  std::string line = absl::StrCat(when, " ", absl::AsciiStrToUpper(LevelName(level)), " ",
                                  QuotedIfNeeded(message, "=\""));
  for (const Logger::Field& field : fields) {
    absl::StrAppend(&line, " ", QuotedIfNeeded(FieldName(field.name), " =\""), "=",
                    QuotedIfNeeded(field.value, " =\""));
  }
  return line;
}

Logger Logger::With(std::initializer_list<Field> fields) const {
  Logger logger = *this;
  if (sink_ == nullptr) return logger;
  for (const Field& field : fields) {
    const auto same = std::find_if(logger.fields_.begin(), logger.fields_.end(),
                                   [&field](const auto& f) { return f.first == field.name; });
    if (same != logger.fields_.end()) {
      same->second = std::string(field.value);
    } else {
      logger.fields_.emplace_back(field.name, field.value);
    }
  }
  return logger;
}

bool Logger::Writes(LogLevel level) const {
  return sink_ != nullptr && sink_->should_log(SpdlogLevel(level));
}

void Logger::Log(LogLevel level, std::string_view message,
                 std::initializer_list<Field> fields) const {
  if (!Writes(level)) return;
  Write(level, message, fields);
}

void Logger::Write(LogLevel level, std::string_view message,
                   std::initializer_list<Field> fields) const {
  if (sink_ == nullptr) return;
  std::vector<Field> all;
  all.reserve(fields_.size() + fields.size());
  for (const auto& [name, value] : fields_) all.push_back({name, value});
  for (const Field& field : fields) {
    const auto same = std::find_if(all.begin(), all.end(),
                                   [&field](const Field& f) { return f.name == field.name; });
    if (same != all.end()) {
      same->value = field.value;
    } else {
      all.push_back(field);
    }
  }
  const std::string line = FormatLogLine(format_, base::SystemClock().Now(), level, message, all);
  const spdlog::string_view_t text(line.data(), line.size());
  // Past the level: whoever calls has looked at it, or means not to.
  for (const spdlog::sink_ptr& sink : sink_->sinks()) {
    try {
      sink->log(spdlog::details::log_msg(sink_->name(), SpdlogLevel(level), text));
    } catch (const std::exception&) {
      // A line that can't be written is lost; the work goes on.
    }
  }
}

Logger MakeLogger(LogFormat format, LogLevel level) {
  return MakeLogger(format, level, std::make_shared<spdlog::sinks::stderr_sink_mt>());
}

Logger MakeLogger(LogFormat format, LogLevel level, std::ostream& out) {
  return MakeLogger(format, level,
                    std::make_shared<spdlog::sinks::ostream_sink_mt>(out, /*force_flush=*/true));
}

}  // namespace gantry::observability
