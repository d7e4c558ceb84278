// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "client/gantryctl/transport.h"

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

std::vector<std::string> Indicator(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"report",  "indicator", "--project", "shop",
                                        "--stage", "prod",      "--name",    "smoke"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CommandLineTest, TheLeastThatIsNeeded) {
  const CommandLine line = Parse(With({"step.yaml"}));
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.usage_errors);
  EXPECT_THAT(line.usage_errors, IsEmpty());
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
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.usage_errors);
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
  ASSERT_TRUE(first.run_step) << ::testing::PrintToString(first.usage_errors);
  EXPECT_EQ(first.run_step->file, "step.yaml");
  const CommandLine dash = Parse(With({"-"}));
  ASSERT_TRUE(dash.run_step) << ::testing::PrintToString(dash.usage_errors);
  EXPECT_EQ(dash.run_step->file, "-");
}

TEST(CommandLineTest, VariablesStandInForFlags) {
  const Variables variables = {{"GANTRY_SERVER", "[::1]:1"}, {"GANTRY_PROJECT", "demo"},
                               {"GANTRY_STAGE", "prod"},     {"GANTRY_PROMOTION", "p-1"},
                               {"GANTRY_STEP", "deploy"},    {"GANTRY_ACTOR", "ann"},
                               {"GANTRY_TIMEOUT", "1h"},     {"GANTRY_OUTPUT", "yaml"}};
  const CommandLine line = Parse({"run-step", "step.yaml"}, variables);
  ASSERT_TRUE(line.run_step) << ::testing::PrintToString(line.usage_errors);
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
  ASSERT_TRUE(line.health) << ::testing::PrintToString(line.usage_errors);
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
  ASSERT_TRUE(project.health) << ::testing::PrintToString(project.usage_errors);
  EXPECT_EQ(project.health->project, "shop");
  EXPECT_EQ(project.health->stage, "");
  EXPECT_TRUE(project.health->watch);
  EXPECT_EQ(project.health->output, OutputFormat::kYaml);

  const CommandLine stage = Parse({"health", "--watch", "--server=[::1]:1", "--timeout", "90s",
                                   "--output", "json", "shop/prod.eu"});
  ASSERT_TRUE(stage.health) << ::testing::PrintToString(stage.usage_errors);
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
  ASSERT_TRUE(line.health) << ::testing::PrintToString(line.usage_errors);
  EXPECT_EQ(line.health->server, "[::1]:1");
  EXPECT_EQ(line.health->project, "");
  EXPECT_EQ(line.health->stage, "");
  EXPECT_EQ(line.health->timeout, absl::Hours(1));
  EXPECT_EQ(line.health->output, OutputFormat::kJson);
}

struct UsageErrorCase {
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> usage_errors;  // a part of each
  Variables variables = {};
};

class CommandLineUsageErrorTest : public ::testing::TestWithParam<UsageErrorCase> {};

TEST_P(CommandLineUsageErrorTest, EveryUsageErrorIsTold) {
  const CommandLine line = Parse(GetParam().arguments, GetParam().variables);
  EXPECT_FALSE(line.run_step);
  EXPECT_FALSE(line.health);
  EXPECT_EQ(line.text, "");
  ASSERT_EQ(line.usage_errors.size(), GetParam().usage_errors.size())
      << ::testing::PrintToString(line.usage_errors);
  for (std::size_t i = 0; i < line.usage_errors.size(); ++i) {
    EXPECT_THAT(line.usage_errors[i], HasSubstr(GetParam().usage_errors[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CommandLineUsageErrorTest,
    ::testing::ValuesIn(std::vector<UsageErrorCase>{
        {"NoCommand",
         {},
         {"A command is missing; expected run-step, health, steps, report, completion or version"}},
        {"UnknownCommand", {"frob", "x"}, {"There is no command \"frob\""}},
        {"UnknownFlagWithoutACommand", {"--frob"}, {"There is no flag \"--frob\""}},
        {"FlagsBeforeTheCommand",
         {"--project", "p", "run-step", "f"},
         {"There is no flag \"--project\"", "Nothing is expected at \"p\"", "--project is missing",
          "--stage is missing", "--promotion is missing"}},
        {"NothingGiven",
         {"run-step"},
         {"--project is missing; expected --project PROJECT, or the variable GANTRY_PROJECT",
          "--stage is missing", "--promotion is missing"}},
        {"NoFile", With({}), {"The step file is missing"}},
        {"TwoFiles", With({"a", "b"}), {"Nothing is expected at \"b\""}},
        {"FileTwice",
         With({"-f", "a", "b"}),
         {"The step file is \"b\"; expected nothing, since it is given as --file \"a\" already"}},
        {"UnknownFlag", With({"--frob=1", "f"}), {"There is no flag \"--frob\""}},
        {"UnknownShortFlag", With({"-x", "f"}), {"There is no flag \"-x\""}},
        {"NoValue", With({"f", "--actor"}), {"--actor has no value"}},
        {"EmptyValue", With({"f", "--step", ""}), {"--step has no value"}},
        {"SeveralUsageErrors",
         With({"f", "--timeout", "5", "-o", "xml", "--server", "localhost"}),
         {"--server is \"localhost\"; expected the gRPC address",
          "--timeout is \"5\"; expected a duration",
          "--output is \"xml\"; expected table, wide, json"}},
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
        {"ControlCharacters", With({"f", "--\x1b[31m"}), {"\"--\\u001b[31m\""}},
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
        {"HealthWithSeveralUsageErrors",
         {"health", "a/b/c", "--timeout", "5", "-o", "xml", "--server", "x"},
         {"--server is \"x\"", "--timeout is \"5\"", "--output is \"xml\"", "The Stage is"}},
        {"UnknownCommandWithANearOne",
         {"helth"},
         {"There is no command \"helth\"; did you mean health? Expected run-step, health"}},
        {"ReportOfNothing",
         {"report"},
         {"A command is missing; expected promotion or indicator, see gantryctl report --help."}},
        {"ReportOfSomethingElse", {"report", "frob"}, {"There is no command \"frob\"; expected"}},
        {"PromotionWithoutAPhase",
         {"report", "promotion", "--project", "a", "--stage", "b", "--promotion", "c"},
         {"--phase is missing; expected --phase running|succeeded|failed|errored|aborted."}},
        {"PromotionInNoPhase",
         {"report", "promotion", "--project", "a", "--stage", "b", "--promotion", "c", "--phase",
          "unspecified"},
         {"--phase is \"unspecified\"; expected running, succeeded"}},
        {"IndicatorWithoutAState",
         Indicator({}),
         {"--state is missing; expected --state healthy|"}},
        {"IndicatorInNoState",
         Indicator({"--state", "fine"}),
         {"--state is \"fine\"; expected healthy, not-applicable"}},
        {"IndicatorRemovedAndReported",
         Indicator({"--remove", "--state", "healthy"}),
         {"--remove is given together with --state"}},
        {"IndicatorForNoTime",
         Indicator({"--state", "healthy", "--ttl", "0s"}),
         {"--ttl is \"0s\"; expected a duration above zero"}},
        {"TwoTokens",
         {"steps", "--token", "t", "--token-file", "f"},
         {"--token and --token-file are both given"}},
        {"TwoTokensByVariables",
         {"steps"},
         {"GANTRY_TOKEN and GANTRY_TOKEN_FILE are both given"},
         {{"GANTRY_TOKEN", "t"}, {"GANTRY_TOKEN_FILE", "f"}}},
        {"ATokenThatIsNone",
         {"steps", "--token", "a secret"},
         {"--token is no token; expected a bearer token"}},
        {"ACertificateWithoutAKey",
         {"steps", "--cert-file", "c"},
         {"--cert-file is given without --key-file"}},
        {"AKeyWithoutACertificate",
         {"steps"},
         {"GANTRY_KEY_FILE is given without --cert-file"},
         {{"GANTRY_KEY_FILE", "k"}}},
        {"PlaintextWithACa",
         {"steps", "--plaintext", "--ca-file", "f"},
         {"--ca-file is for TLS, and --plaintext asks for none"}},
        {"NeitherPlaintextNorNot",
         {"steps", "--plaintext=maybe"},
         {"--plaintext is \"maybe\"; expected true or false"}},
        {"ATokenElsewhereInPlaintext",
         {"steps", "--server", "gantry.example:1", "--plaintext", "--token", "t"},
         {"A token is not sent to gantry.example:1 in plain text"}},
        {"NoShell", {"completion"}, {"The shell is missing; expected bash, zsh or fish."}},
        {"AnotherShell", {"completion", "tcsh"}, {"The shell is \"tcsh\"; expected bash"}},
        {"VersionOfSomething", {"version", "x"}, {"Nothing is expected at \"x\""}},
    }),
    [](const auto& test) { return test.param.name; });

TEST(CommandLineTest, StepsTakeAKind) {
  const CommandLine all = Parse({"steps"});
  ASSERT_TRUE(all.steps) << ::testing::PrintToString(all.usage_errors);
  EXPECT_EQ(all.steps->kind, "");
  EXPECT_EQ(all.steps->timeout, absl::Seconds(30));
  const CommandLine one = Parse({"steps", "argocd-update", "-o", "wide"});
  ASSERT_TRUE(one.steps) << ::testing::PrintToString(one.usage_errors);
  EXPECT_EQ(one.steps->kind, "argocd-update");
  EXPECT_EQ(one.steps->output, OutputFormat::kWide);
}

TEST(CommandLineTest, APromotionIsReported) {
  const CommandLine line = Parse({"report", "promotion", "--project", "shop", "--stage", "prod",
                                  "--promotion", "p-1", "--phase", "succeeded", "--message", "m"});
  ASSERT_TRUE(line.report_promotion) << ::testing::PrintToString(line.usage_errors);
  EXPECT_EQ(line.report_promotion->project, "shop");
  EXPECT_EQ(line.report_promotion->stage, "prod");
  EXPECT_EQ(line.report_promotion->promotion, "p-1");
  EXPECT_EQ(line.report_promotion->phase, v1::PROMOTION_PHASE_SUCCEEDED);
  EXPECT_EQ(line.report_promotion->message, "m");
}

TEST(CommandLineTest, AnIndicatorIsReportedOrRemoved) {
  const CommandLine line = Parse(Indicator({"--state", "not-applicable", "--ttl", "10m"}));
  ASSERT_TRUE(line.report_indicator) << ::testing::PrintToString(line.usage_errors);
  EXPECT_EQ(line.report_indicator->name, "smoke");
  EXPECT_EQ(line.report_indicator->state, v1::HEALTH_STATE_NOT_APPLICABLE);
  EXPECT_EQ(line.report_indicator->ttl, absl::Minutes(10));
  EXPECT_FALSE(line.report_indicator->remove);
  const CommandLine removed = Parse(Indicator({"--remove"}));
  ASSERT_TRUE(removed.report_indicator) << ::testing::PrintToString(removed.usage_errors);
  EXPECT_TRUE(removed.report_indicator->remove);
  EXPECT_EQ(removed.report_indicator->state, v1::HEALTH_STATE_UNSPECIFIED);
}

TEST(CommandLineTest, NamesOfCommandsAreOrdinaryWordsBehindOne) {
  const CommandLine line = Parse({"health", "report"});
  ASSERT_TRUE(line.health) << ::testing::PrintToString(line.usage_errors);
  EXPECT_EQ(line.health->project, "report");
}

TEST(CommandLineTest, HowTheConnectionIsSecured) {
  const struct {
    std::string name;
    std::vector<std::string> arguments;
    bool plaintext;
    Variables variables = {};
  } cases[] = {
      {"Loopback", {"--server", "127.0.0.1:1"}, true},
      {"UnixSocket", {"--server", "unix:/run/g.sock"}, true},
      {"Elsewhere", {"--server", "gantry.example:443"}, false},
      {"ElsewhereInPlaintext", {"--server", "gantry.example:443", "--plaintext"}, true},
      {"ElsewhereInPlaintextByVariable",
       {"--server", "gantry.example:443"},
       true,
       {{"GANTRY_PLAINTEXT", "true"}}},
      {"LoopbackWithTls", {"--plaintext=false"}, false},
      {"LoopbackWithTlsByVariable", {}, false, {{"GANTRY_PLAINTEXT", "false"}}},
      {"LoopbackWithACa", {"--ca-file", "ca"}, false},
      {"LoopbackWithACertificate", {"--cert-file", "c", "--key-file", "k"}, false},
      {"LoopbackWithAToken", {"--token", "t"}, false},
      {"LoopbackWithATokenFile", {"--token-file", "t"}, false},
      {"LoopbackWithATokenByVariable", {}, false, {{"GANTRY_TOKEN", "t"}}},
      {"LoopbackWithATokenInPlaintext", {"--token", "t", "--plaintext"}, true},
      {"PlaintextWinsOverTheVariableOfACa", {"--plaintext"}, true, {{"GANTRY_CA_FILE", "ca"}}},
      {"ACaWinsOverTheVariableOfPlaintext",
       {"--ca-file", "ca"},
       false,
       {{"GANTRY_PLAINTEXT", "true"}}},
  };
  for (const auto& test : cases) {
    std::vector<std::string> arguments = {"steps"};
    arguments.insert(arguments.end(), test.arguments.begin(), test.arguments.end());
    const CommandLine line = Parse(arguments, test.variables);
    ASSERT_TRUE(line.steps) << test.name << ::testing::PrintToString(line.usage_errors);
    EXPECT_EQ(line.steps->plaintext, test.plaintext) << test.name;
    if (test.plaintext) {
      EXPECT_EQ(line.steps->ca_file, "") << test.name;
    }
  }
}

TEST(CommandLineTest, EveryFlagOfTheConnectionHasAVariable) {
  const CommandLine line = Parse({"steps"}, {{"GANTRY_SERVER", "a:1"},
                                             {"GANTRY_TOKEN_FILE", "t"},
                                             {"GANTRY_CA_FILE", "ca"},
                                             {"GANTRY_CERT_FILE", "c"},
                                             {"GANTRY_KEY_FILE", "k"}});
  ASSERT_TRUE(line.steps) << ::testing::PrintToString(line.usage_errors);
  EXPECT_EQ(line.steps->server, "a:1");
  EXPECT_EQ(line.steps->token_file, "t");
  EXPECT_EQ(line.steps->ca_file, "ca");
  EXPECT_EQ(line.steps->cert_file, "c");
  EXPECT_EQ(line.steps->key_file, "k");
  // The flag wins over the other variable, too.
  const CommandLine token = Parse({"steps", "--token", "x"}, {{"GANTRY_TOKEN_FILE", "t"}});
  ASSERT_TRUE(token.steps);
  EXPECT_EQ(token.steps->token, "x");
  EXPECT_EQ(token.steps->token_file, "");
  EXPECT_EQ(Parse({"steps"}, {{"GANTRY_TOKEN", "x"}}).steps->token, "x");
}

TEST(CommandLineTest, WhatIsWrongWithAFileNamesTheVariableThatGaveIt) {
  const auto read = [](const std::string& file, std::size_t) -> absl::StatusOr<std::string> {
    if (file == "x") return absl::UnknownError("No such file or directory");
    return "nothing of the kind";
  };
  const struct {
    const char* name;
    std::map<std::string, std::string> variables;
    std::vector<std::string> flags;
    std::string told;
  } cases[] = {
      {"NoCa", {{"GANTRY_CA_FILE", "x"}}, {}, "GANTRY_CA_FILE x cannot be read"},
      {"NoPemInCa", {{"GANTRY_CA_FILE", "y"}}, {}, "GANTRY_CA_FILE y holds no PEM certificate"},
      {"ByFlag", {{"GANTRY_CA_FILE", "x"}}, {"--ca-file", "y"}, "--ca-file y holds no PEM"},
      {"Certificate",
       {{"GANTRY_CERT_FILE", "y"}, {"GANTRY_KEY_FILE", "y"}},
       {},
       "GANTRY_CERT_FILE y holds no PEM certificate"},
      {"Token", {{"GANTRY_TOKEN_FILE", "x"}}, {}, "GANTRY_TOKEN_FILE x cannot be read"},
      {"BlanksInTheToken", {{"GANTRY_TOKEN_FILE", "y"}}, {}, "GANTRY_TOKEN_FILE y holds blanks"},
  };
  for (const auto& test : cases) {
    std::vector<std::string> arguments = {"health"};
    arguments.insert(arguments.end(), test.flags.begin(), test.flags.end());
    const CommandLine line = Parse(arguments, test.variables);
    ASSERT_TRUE(line.health) << test.name;
    EXPECT_THAT(std::string(MakeChannelOptions(*line.health, read).status().message()),
                ::testing::StartsWith(test.told))
        << test.name;
  }
}

TEST(CommandLineTest, EveryTimeoutTellsWhenItEndsWithoutAnAnswer) {
  const std::vector<std::string> commands[] = {{"run-step", "--help"},
                                               {"health", "--help"},
                                               {"steps", "--help"},
                                               {"report", "promotion", "--help"},
                                               {"report", "indicator", "--help"}};
  for (const std::vector<std::string>& command : commands) {
    EXPECT_THAT(Parse(command).text, HasSubstr("nothing answers at all it ends after 10s"))
        << command[0];
  }
}

TEST(CommandLineTest, EveryCommandHasHelpWithExamples) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{},
                                             {"run-step"},
                                             {"health"},
                                             {"steps"},
                                             {"report"},
                                             {"report", "promotion"},
                                             {"report", "indicator"},
                                             {"completion"},
                                             {"version"}}) {
    std::vector<std::string> arguments = command;
    arguments.push_back("--help");
    const CommandLine line = Parse(arguments);
    std::string name = "gantryctl";
    for (const std::string& word : command) name += " " + word;
    EXPECT_THAT(line.text, HasSubstr("Usage: " + name + " ")) << name;
    const std::size_t examples = line.text.find("\nExamples:\n");
    ASSERT_NE(examples, std::string::npos) << name;
    EXPECT_THAT(line.text.substr(examples), HasSubstr(name)) << name;
    // CLI11 would have to wrap, and does not.
    EXPECT_THAT(line.text, ::testing::EndsWith("\n")) << name;
  }
}

TEST(CommandLineTest, CompletionScriptsAndWordsToComplete) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(Parse({"completion", shell}).text, HasSubstr("gantryctl completion " + shell));
  }
  const CommandLine line = Parse({"__complete", "--", "--server", "a:1", "--", ""});
  ASSERT_TRUE(line.complete);
  EXPECT_FALSE(line.complete->completion.candidates.empty());
}

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
    EXPECT_THAT(line.usage_errors, IsEmpty());
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
    EXPECT_THAT(line.usage_errors, IsEmpty());
  }
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"version"}, {"--version"}}) {
    EXPECT_THAT(Parse(arguments).text, ::testing::MatchesRegex("gantryctl [0-9.]+\n"));
  }
}

}  // namespace
}  // namespace gantry::gantryctl
