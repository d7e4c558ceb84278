// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace gantry::gantryctl {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Variables = std::map<std::string, std::string>;

CommandLine Parse(std::vector<std::string> arguments, const Variables& variables = {}) {
  return ParseCommandLine(arguments,
                          [&variables](const std::string& name) -> std::optional<std::string> {
                            const auto found = variables.find(name);
                            if (found == variables.end()) return std::nullopt;
                            return found->second;
                          });
}

// The least that is needed, and more.
std::vector<std::string> With(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"run-step", "--project",   "demo", "--stage",
                                        "prod",     "--promotion", "p-1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CommandLineTest, TheLeastThatIsNeeded) {
  const CommandLine line = Parse(With({"step.yaml"}));
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.mistakes);
  EXPECT_THAT(line.mistakes, IsEmpty());
  EXPECT_EQ(line.run_step->project, "demo");
  EXPECT_EQ(line.run_step->stage, "prod");
  EXPECT_EQ(line.run_step->promotion, "p-1");
  EXPECT_EQ(line.run_step->file, "step.yaml");
  EXPECT_EQ(line.run_step->step, "");
  EXPECT_EQ(line.run_step->actor, "");
  EXPECT_EQ(line.run_step->server, "127.0.0.1:50051");
  EXPECT_EQ(line.run_step->timeout, absl::Minutes(5));
  EXPECT_EQ(line.run_step->output, OutputFormat::kTable);
  EXPECT_FALSE(line.run_step->dry_run);
}

TEST(CommandLineTest, EveryFlag) {
  const CommandLine line =
      Parse(With({"--step", "deploy", "--actor=ann", "--dry-run", "--timeout", "90s", "-o", "json",
                  "--server", "gantry.example:443", "-f", "-"}));
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.mistakes);
  EXPECT_EQ(line.run_step->step, "deploy");
  EXPECT_EQ(line.run_step->actor, "ann");
  EXPECT_TRUE(line.run_step->dry_run);
  EXPECT_EQ(line.run_step->timeout, absl::Seconds(90));
  EXPECT_EQ(line.run_step->output, OutputFormat::kJson);
  EXPECT_EQ(line.run_step->server, "gantry.example:443");
  EXPECT_EQ(line.run_step->file, "-");
}

TEST(CommandLineTest, TheFileCanComeFirstAndBeStandardInput) {
  const CommandLine first = Parse(
      {"run-step", "step.yaml", "--project", "demo", "--stage", "prod", "--promotion", "p-1"});
  ASSERT_TRUE(first.run_step) << ::testing::PrintToString(first.mistakes);
  EXPECT_EQ(first.run_step->file, "step.yaml");
  const CommandLine dash = Parse(With({"-"}));
  ASSERT_TRUE(dash.run_step) << ::testing::PrintToString(dash.mistakes);
  EXPECT_EQ(dash.run_step->file, "-");
}

TEST(CommandLineTest, VariablesStandInForFlags) {
  const Variables variables = {{"GANTRY_SERVER", "[::1]:1"}, {"GANTRY_PROJECT", "demo"},
                               {"GANTRY_STAGE", "prod"},     {"GANTRY_PROMOTION", "p-1"},
                               {"GANTRY_STEP", "deploy"},    {"GANTRY_ACTOR", "ann"},
                               {"GANTRY_TIMEOUT", "1h"},     {"GANTRY_OUTPUT", "yaml"}};
  const CommandLine line = Parse({"run-step", "step.yaml"}, variables);
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.mistakes);
  EXPECT_EQ(line.run_step->server, "[::1]:1");
  EXPECT_EQ(line.run_step->project, "demo");
  EXPECT_EQ(line.run_step->stage, "prod");
  EXPECT_EQ(line.run_step->promotion, "p-1");
  EXPECT_EQ(line.run_step->step, "deploy");
  EXPECT_EQ(line.run_step->actor, "ann");
  EXPECT_EQ(line.run_step->timeout, absl::Hours(1));
  EXPECT_EQ(line.run_step->output, OutputFormat::kYaml);

  const CommandLine flag = Parse({"run-step", "step.yaml", "--stage", "test"}, variables);
  ASSERT_TRUE(flag.run_step);
  EXPECT_EQ(flag.run_step->stage, "test");
}

TEST(CommandLineTest, AnEmptyVariableIsNotSet) {
  const CommandLine line = Parse(With({"f"}), {{"GANTRY_SERVER", ""}, {"GANTRY_TIMEOUT", ""}});
  ASSERT_TRUE(line.run_step);
  EXPECT_EQ(line.run_step->server, "127.0.0.1:50051");
}

TEST(CommandLineTest, AddressesThatAreTaken) {
  for (const std::string address :
       {"localhost:1", "gantry:65535", "10.0.0.1:50051", "[2001:db8::1]:50051",
        "dns:///gantry.example:443", "dns:gantry.example:443", "ipv4:127.0.0.1:1",
        "unix:/run/gantry.sock", "unix:///run/gantry.sock", "unix-abstract:gantry"}) {
    const CommandLine line = Parse(With({"--server", address, "f"}));
    ASSERT_TRUE(line.run_step) << address;
    EXPECT_EQ(line.run_step->server, address);
  }
}

TEST(CommandLineTest, HealthOfAllStagesNeedsNothing) {
  const CommandLine line = Parse({"health"});
  ASSERT_TRUE(line.health) << ::testing::PrintToString(line.mistakes);
  EXPECT_FALSE(line.run_step);
  EXPECT_EQ(line.health->server, "127.0.0.1:50051");
  EXPECT_EQ(line.health->project, "");
  EXPECT_EQ(line.health->stage, "");
  EXPECT_FALSE(line.health->watch);
  EXPECT_FALSE(line.health->timeout);
  EXPECT_EQ(line.health->output, OutputFormat::kTable);
}

TEST(CommandLineTest, HealthOfAProjectOrAStageWithEveryFlag) {
  const CommandLine project = Parse({"health", "shop", "-w", "-o", "yaml"});
  ASSERT_TRUE(project.health) << ::testing::PrintToString(project.mistakes);
  EXPECT_EQ(project.health->project, "shop");
  EXPECT_EQ(project.health->stage, "");
  EXPECT_TRUE(project.health->watch);
  EXPECT_EQ(project.health->output, OutputFormat::kYaml);

  const CommandLine stage = Parse({"health", "--watch", "--server=[::1]:1", "--timeout", "90s",
                                   "--output", "json", "shop/prod.eu"});
  ASSERT_TRUE(stage.health) << ::testing::PrintToString(stage.mistakes);
  EXPECT_EQ(stage.health->project, "shop");
  EXPECT_EQ(stage.health->stage, "prod.eu");
  EXPECT_TRUE(stage.health->watch);
  EXPECT_EQ(stage.health->server, "[::1]:1");
  EXPECT_EQ(stage.health->timeout, absl::Seconds(90));
  EXPECT_EQ(stage.health->output, OutputFormat::kJson);
}

TEST(CommandLineTest, VariablesStandInForFlagsOfHealthButNameNoStage) {
  const CommandLine line = Parse({"health"}, {{"GANTRY_SERVER", "[::1]:1"},
                                              {"GANTRY_PROJECT", "demo"},
                                              {"GANTRY_STAGE", "prod"},
                                              {"GANTRY_TIMEOUT", "1h"},
                                              {"GANTRY_OUTPUT", "json"}});
  ASSERT_TRUE(line.health) << ::testing::PrintToString(line.mistakes);
  EXPECT_EQ(line.health->server, "[::1]:1");
  EXPECT_EQ(line.health->project, "");
  EXPECT_EQ(line.health->stage, "");
  EXPECT_EQ(line.health->timeout, absl::Hours(1));
  EXPECT_EQ(line.health->output, OutputFormat::kJson);
}

struct MistakeCase {
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> mistakes;  // a part of each
  Variables variables = {};
};

class CommandLineMistakeTest : public ::testing::TestWithParam<MistakeCase> {};

TEST_P(CommandLineMistakeTest, EveryMistakeIsTold) {
  const CommandLine line = Parse(GetParam().arguments, GetParam().variables);
  EXPECT_FALSE(line.run_step);
  EXPECT_FALSE(line.health);
  EXPECT_EQ(line.text, "");
  ASSERT_EQ(line.mistakes.size(), GetParam().mistakes.size())
      << ::testing::PrintToString(line.mistakes);
  for (std::size_t i = 0; i < line.mistakes.size(); ++i) {
    EXPECT_THAT(line.mistakes[i], HasSubstr(GetParam().mistakes[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CommandLineMistakeTest,
    ::testing::ValuesIn(std::vector<MistakeCase>{
        {"NoCommand", {}, {"A command is missing; expected run-step, health or version"}},
        {"UnknownCommand", {"frob", "x"}, {"There is no command \"frob\""}},
        {"UnknownFlagWithoutACommand", {"--frob"}, {"There is no flag \"--frob\""}},
        {"FlagsBeforeTheCommand",
         {"--project", "p", "run-step", "f"},
         {"There is no flag \"--project\"", "Nothing is expected at \"p\"", "--project is missing",
          "--stage is missing", "--promotion is missing"}},
        {"NothingGiven",
         {"run-step"},
         {"--project is missing; expected --project NAME, or the variable GANTRY_PROJECT",
          "--stage is missing", "--promotion is missing"}},
        {"NoFile", With({}), {"The step file is missing"}},
        {"TwoFiles", With({"a", "b"}), {"Nothing is expected at \"b\""}},
        {"FileTwice", With({"-f", "a", "b"}), {"The step file is given twice"}},
        {"UnknownFlag", With({"--frob=1", "f"}), {"There is no flag \"--frob\""}},
        {"UnknownShortFlag", With({"-x", "f"}), {"There is no flag \"-x\""}},
        {"NoValue", With({"f", "--actor"}), {"--actor has no value"}},
        {"EmptyValue", With({"f", "--step", ""}), {"--step has no value"}},
        {"SeveralMistakes",
         With({"f", "--timeout", "5", "-o", "xml", "--server", "localhost"}),
         {"--server is \"localhost\"; expected the gRPC address",
          "--timeout is \"5\"; expected a duration", "--output is \"xml\"; expected table"}},
        {"AVariableIsNamed",
         With({"f"}),
         {"GANTRY_TIMEOUT is \"soon\"; expected a duration"},
         {{"GANTRY_TIMEOUT", "soon"}}},
        {"TimeoutOfNothing", With({"f", "--timeout", "0s"}), {"--timeout is \"0s\""}},
        {"TimeoutTooLong", With({"f", "--timeout", "721h"}), {"up to 720h"}},
        {"Url", With({"f", "--server", "http://gantry:50051"}), {"expected the gRPC address"}},
        {"NoPort", With({"f", "--server", "gantry:"}), {"expected the gRPC address"}},
        {"NoHost", With({"f", "--server", ":50051"}), {"expected the gRPC address"}},
        {"PortTooLarge", With({"f", "--server", "a:65536"}), {"expected the gRPC address"}},
        {"Ipv6WithoutBrackets", With({"f", "--server", "::1:50051"}), {"expected the gRPC"}},
        {"BlankInAddress", With({"f", "--server", "a b:1"}), {"expected the gRPC address"}},
        {"NotUtf8", With({"f", "--actor", "\xff"}), {"--actor is \"\\xff\"; expected text in UTF"}},
        {"ControlCharacters", With({"f", "--\x1b[31m"}), {"\"--\\x1b[31m\""}},
        {"HealthOfTooDeepAName",
         {"health", "a/b/c"},
         {"The Stage is \"a/b/c\"; expected a project"}},
        {"HealthOfNoStage", {"health", "shop/"}, {"The Stage is \"shop/\"; expected"}},
        {"HealthOfNoProject", {"health", "/prod"}, {"The Stage is \"/prod\"; expected"}},
        {"HealthOfNothing", {"health", ""}, {"The Stage is \"\"; expected"}},
        {"HealthOfNoText", {"health", "a\xff"}, {"The Stage is \"a\\xff\"; expected"}},
        {"HealthOfTwo", {"health", "a", "b"}, {"Nothing is expected at \"b\""}},
        {"HealthWithTheFlagsOfAStep",
         {"health", "--project", "shop"},
         {"There is no flag \"--project\"; see gantryctl health --help"}},
        {"HealthWithoutValues",
         {"health", "--timeout"},
         {"--timeout has no value; expected DURATION after it, see gantryctl health --help"}},
        {"HealthWithSeveralMistakes",
         {"health", "a/b/c", "--timeout", "5", "-o", "xml", "--server", "x"},
         {"--server is \"x\"", "--timeout is \"5\"", "--output is \"xml\"", "The Stage is"}},
        {"VersionOfSomething", {"version", "x"}, {"Nothing is expected at \"x\""}},
    }),
    [](const auto& test) { return test.param.name; });

TEST(CommandLineTest, HelpAndVersionArePrinted) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"}, {"-h"}}) {
    EXPECT_THAT(Parse(arguments).text, HasSubstr("run-step"));
  }
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"run-step", "--help"}, {"run-step", "-h", "--frob"}, {"--help", "run-step"}}) {
    const CommandLine line = Parse(arguments);
    EXPECT_THAT(line.text, HasSubstr("--promotion NAME"));
    EXPECT_THAT(line.text, HasSubstr("GANTRY_SERVER"));
    EXPECT_THAT(line.text, HasSubstr("Exit codes:"));
    EXPECT_THAT(line.text, HasSubstr("gantryctl run-step --project demo"));
    EXPECT_THAT(line.mistakes, IsEmpty());
  }
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"health", "--help"}, {"health", "-h", "--frob"}, {"--help", "health"}}) {
    const CommandLine line = Parse(arguments);
    EXPECT_THAT(line.text, HasSubstr("--watch"));
    EXPECT_THAT(line.text, HasSubstr("PROJECT[/STAGE]"));
    EXPECT_THAT(line.text, HasSubstr("GANTRY_SERVER"));
    EXPECT_THAT(line.text, HasSubstr("UTC"));
    EXPECT_THAT(line.text, HasSubstr("Exit codes:"));
    EXPECT_THAT(line.text, HasSubstr("gantryctl health shop/prod"));
    EXPECT_THAT(line.mistakes, IsEmpty());
  }
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"version"}, {"--version"}}) {
    EXPECT_THAT(Parse(arguments).text, ::testing::MatchesRegex("gantryctl [0-9.]+\n"));
  }
}

}  // namespace
}  // namespace gantry::gantryctl
