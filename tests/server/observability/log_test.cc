// SPDX-License-Identifier: Apache-2.0
#include "server/observability/log.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <thread>

#include "absl/strings/str_split.h"
#include "server/observability/library_logs.h"

namespace gantry::observability {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const absl::Time kTime = absl::FromUnixMillis(1'700'000'000'042);

struct Line {
  std::string name;
  LogFormat format;
  std::string message;
  std::string value;
  std::string expected;
};

void PrintTo(const Line& line, std::ostream* out) { *out << line.name; }

class FormatLogLineTest : public ::testing::TestWithParam<Line> {};

TEST_P(FormatLogLineTest, Renders) {
  const Line& line = GetParam();
  EXPECT_EQ(FormatLogLine(line.format, kTime, LogLevel::kInfo, line.message, {{"k", line.value}}),
            line.expected);
}

const std::string kJsonStart = R"({"time":"2023-11-14T22:13:20.042Z","level":"info","message":)";
const std::string kTextStart = "2023-11-14T22:13:20.042Z INFO ";

INSTANTIATE_TEST_SUITE_P(
    Table, FormatLogLineTest,
    ::testing::Values(
        Line{"JsonPlain", LogFormat::kJson, "hello", "v", kJsonStart + R"("hello","k":"v"})"},
        Line{"JsonQuote", LogFormat::kJson, "a\"b", "\",\"level\":\"error",
             kJsonStart + R"("a\"b","k":"\",\"level\":\"error"})"},
        Line{"JsonLineFeed", LogFormat::kJson, "a\nb", "c\r\n",
             kJsonStart + R"("a\nb","k":"c\r\n"})"},
        Line{"JsonNul", LogFormat::kJson, "m", std::string("a\0b", 3),
             kJsonStart + R"("m","k":"a\u0000b"})"},
        Line{"JsonInvalidUtf8", LogFormat::kJson, "m",
             "a\xff"
             "b",
             kJsonStart + "\"m\",\"k\":\"a\xef\xbf\xbd"
                          "b\"}"},
        Line{"JsonTruncatedUtf8", LogFormat::kJson, "m", "a\xe2\x80",
             kJsonStart + "\"m\",\"k\":\"a\xef\xbf\xbd\"}"},
        Line{"JsonUmlautStays", LogFormat::kJson, "m", "\xc3\xa4",
             kJsonStart + "\"m\",\"k\":\"\xc3\xa4\"}"},
        Line{"JsonDelEscaped", LogFormat::kJson, "m", "\x7f", kJsonStart + R"("m","k":"\u007f"})"},
        Line{"JsonC1Escaped", LogFormat::kJson, "m",
             "\xc2\x9b"
             "31m",
             kJsonStart + R"("m","k":"\u009b31m"})"},
        Line{"JsonNoBreakSpaceStays", LogFormat::kJson, "m", "\xc2\xa0",
             kJsonStart + "\"m\",\"k\":\"\xc2\xa0\"}"},
        Line{"JsonLineSeparatorsEscaped", LogFormat::kJson, "m", "\xe2\x80\xa8\xe2\x80\xa9",
             kJsonStart + R"("m","k":"\u2028\u2029"})"},
        Line{"JsonEllipsisStays", LogFormat::kJson, "m", "\xe2\x80\xa6",
             kJsonStart + "\"m\",\"k\":\"\xe2\x80\xa6\"}"},
        Line{"JsonEmpty", LogFormat::kJson, "", "", kJsonStart + R"("","k":""})"},
        Line{"TextPlain", LogFormat::kText, "hello there", "v", kTextStart + "hello there k=v"},
        Line{"TextValueWithBlank", LogFormat::kText, "m", "a b", kTextStart + R"(m k="a b")"},
        Line{"TextEmptyValue", LogFormat::kText, "m", "", kTextStart + R"(m k="")"},
        Line{"TextValueWithEquals", LogFormat::kText, "m", "a=b", kTextStart + R"(m k="a=b")"},
        Line{"TextValueWithQuote", LogFormat::kText, "m", "a\"b", kTextStart + R"(m k="a\"b")"},
        Line{"TextLineFeed", LogFormat::kText, "m", "a\n2023 ERROR forged",
             kTextStart + R"(m k="a\n2023 ERROR forged")"},
        Line{"TextEscapeSequence", LogFormat::kText, "m\x1b[2J", "v",
             kTextStart + R"("m\u001b[2J" k=v)"},
        Line{"TextMessageThatLooksLikeAField", LogFormat::kText, "done user=root", "v",
             kTextStart + R"("done user=root" k=v)"},
        Line{"TextInvalidUtf8", LogFormat::kText, "m", "\xff", kTextStart + "m k=\"\xef\xbf\xbd\""},
        Line{"TextUmlautStays", LogFormat::kText, "m", "\xc3\xa4", kTextStart + "m k=\xc3\xa4"}),
    [](const auto& line) { return line.param.name; });

TEST(FormatLogLine, EveryByteSequenceOfTwoIsOneValidJsonObject) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string value{static_cast<char>(a), static_cast<char>(b)};
      const std::string line =
          FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, "m", {{"k", value}});
      ASSERT_EQ(line.find('\n'), std::string::npos);
      const auto json = nlohmann::json::parse(line, nullptr, false);
      ASSERT_TRUE(json.is_object()) << line;
      ASSERT_EQ(json.size(), 4u) << line;
    }
  }
}

TEST(FormatLogLine, FieldsNamedLikeTheLinesOwnAreToldApart) {
  const auto json =
      nlohmann::json::parse(FormatLogLine(LogFormat::kJson, kTime, LogLevel::kError, "m",
                                          {{"message", "1"}, {"time", "2"}, {"level", "3"}}));
  EXPECT_EQ(json.at("message"), "m");
  EXPECT_EQ(json.at("message_"), "1");
  EXPECT_EQ(json.at("time_"), "2");
  EXPECT_EQ(json.at("level_"), "3");
}

std::vector<std::string> Lines(const std::ostringstream& out) {
  return absl::StrSplit(out.str(), '\n', absl::SkipEmpty());
}

TEST(Logger, WritesWhatIsAtLeastItsLevel) {
  const std::pair<LogLevel, std::vector<std::string>> table[] = {
      {LogLevel::kDebug, {"debug", "info", "warning", "error"}},
      {LogLevel::kInfo, {"info", "warning", "error"}},
      {LogLevel::kWarning, {"warning", "error"}},
      {LogLevel::kError, {"error"}},
  };
  for (const auto& [level, expected] : table) {
    std::ostringstream out;
    const Logger log = MakeLogger(LogFormat::kJson, level, out);
    log.Debug("m");
    log.Info("m");
    log.Warning("m");
    log.Error("m");
    std::vector<std::string> levels;
    for (const std::string& line : Lines(out)) {
      levels.push_back(nlohmann::json::parse(line).at("level"));
    }
    EXPECT_EQ(levels, expected);
  }
}

TEST(Logger, WithNestsAndTheLaterFieldWins) {
  std::ostringstream out;
  const Logger outer = MakeLogger(LogFormat::kJson, LogLevel::kInfo, out).With({{"a", "1"}});
  const Logger inner = outer.With({{"b", "2"}, {"a", "3"}});
  inner.Info("m", {{"c", "4"}, {"b", "5"}});
  outer.Info("m");
  const auto lines = Lines(out);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr(R"("message":"m","a":"3","b":"5","c":"4"})"));
  EXPECT_THAT(lines[1], HasSubstr(R"("message":"m","a":"1"})"));
}

TEST(Logger, ADefaultLoggerDiscards) {
  const Logger log;
  log.With({{"a", "1"}}).Error("m", {{"b", "2"}});
}

TEST(Logger, LinesOfManyThreadsAreNotMixed) {
  std::ostringstream out;
  const Logger log = MakeLogger(LogFormat::kJson, LogLevel::kInfo, out);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([log, t] {
      const Logger mine = log.With({{"thread", std::to_string(t)}});
      for (int i = 0; i < 100; ++i) mine.Info("line", {{"i", std::to_string(i)}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = Lines(out);
  EXPECT_THAT(lines, SizeIs(400));
  for (const std::string& line : lines) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST(LibraryLogs, OfGrpcErrorsAlone) {
  std::ostringstream out;
  RedirectLibraryLogs(MakeLogger(LogFormat::kText, LogLevel::kDebug, out));
  grpc_init();
  grpc_shutdown();
  gpr_log(GPR_ERROR, "broken %d", 7);
  gpr_log(GPR_INFO, "chatter");
  gpr_log(GPR_DEBUG, "chatter");
  RedirectLibraryLogs(Logger());
  gpr_log(GPR_ERROR, "after");
  const auto lines = Lines(out);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("ERROR broken 7 library=grpc"));
}

TEST(LibraryLogs, OfProtobufAreForDebugging) {
  std::ostringstream debug;
  RedirectLibraryLogs(MakeLogger(LogFormat::kText, LogLevel::kDebug, debug));
  GOOGLE_LOG(ERROR) << "not UTF-8";
  std::ostringstream info;
  RedirectLibraryLogs(MakeLogger(LogFormat::kText, LogLevel::kInfo, info));
  GOOGLE_LOG(ERROR) << "not UTF-8";
  RedirectLibraryLogs(Logger());
  EXPECT_THAT(debug.str(), HasSubstr("DEBUG not UTF-8 library=protobuf"));
  EXPECT_THAT(Lines(info), IsEmpty());
}

}  // namespace
}  // namespace gantry::observability
