// SPDX-License-Identifier: Apache-2.0
#include "server/options/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <ostream>

namespace gantry::options {
namespace {

using observability::LogFormat;
using observability::LogLevel;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Environment In(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

ParseResult ParseFlags(const std::vector<std::string>& arguments) {
  return Parse(arguments, In({}), /*log_to_terminal=*/false);
}

TEST(Options, Defaults) {
  const ParseResult result = ParseFlags({});
  ASSERT_TRUE(result.options.has_value());
  EXPECT_THAT(result.usage_errors, IsEmpty());
  EXPECT_EQ(result.text, "");
  const Options& options = *result.options;
  EXPECT_EQ(options.listen, (Address{"127.0.0.1", 50051}));
  EXPECT_EQ(options.admin_listen, (Address{"127.0.0.1", 8080}));
  EXPECT_EQ(options.kubeconfig, "");
  EXPECT_EQ(options.context, "");
  EXPECT_EQ(options.argocd_kubeconfig, "");
  EXPECT_EQ(options.argocd_context, "");
  EXPECT_EQ(options.argocd_namespace, "argocd");
  EXPECT_FALSE(options.watch_all_namespaces);
  EXPECT_THAT(options.watch_namespaces, ElementsAre("argocd"));
  EXPECT_EQ(options.stage_namespace, "");
  EXPECT_EQ(options.staleness_limit, absl::Minutes(2));
  EXPECT_EQ(options.max_sync_attempts, 5);
  EXPECT_EQ(options.operation_initiator, "gantry");
  EXPECT_EQ(options.max_wait, absl::Minutes(10));
  EXPECT_EQ(options.step_workers, 16);
  EXPECT_EQ(options.kube_qps, 500);
  EXPECT_EQ(options.kube_burst, 1000);
  EXPECT_EQ(options.drain_timeout, absl::Seconds(25));
  EXPECT_EQ(options.log_level, LogLevel::kInfo);
  EXPECT_EQ(options.log_format, LogFormat::kJson);
  EXPECT_EQ(options.port_file, "");
}

TEST(Options, LogsAreTextOnATerminalUnlessSaidOtherwise) {
  EXPECT_EQ(Parse({}, In({}), true).options->log_format, LogFormat::kText);
  EXPECT_EQ(Parse({"--log-format=json"}, In({}), true).options->log_format, LogFormat::kJson);
  EXPECT_EQ(Parse({"--log-format=text"}, In({}), false).options->log_format, LogFormat::kText);
}

// Each flag, a value, and whether that value arrived: once as a flag, once from the environment.
struct Given {
  std::string flag;
  std::string variable;
  std::string value;
  std::function<bool(const Options&)> arrived;
};

void PrintTo(const Given& given, std::ostream* out) { *out << given.flag << "=" << given.value; }

class GivenTest : public ::testing::TestWithParam<Given> {};

TEST_P(GivenTest, AsAFlag) {
  const Given& given = GetParam();
  const ParseResult result = ParseFlags({given.flag, given.value});
  ASSERT_THAT(result.usage_errors, IsEmpty());
  EXPECT_TRUE(given.arrived(*result.options));
}

TEST_P(GivenTest, AsAFlagWithAnEqualsSign) {
  const Given& given = GetParam();
  const ParseResult result = ParseFlags({given.flag + "=" + given.value});
  ASSERT_THAT(result.usage_errors, IsEmpty());
  EXPECT_TRUE(given.arrived(*result.options));
}

TEST_P(GivenTest, InTheEnvironment) {
  const Given& given = GetParam();
  const ParseResult result = Parse({}, In({{given.variable, given.value}}), false);
  ASSERT_THAT(result.usage_errors, IsEmpty());
  EXPECT_TRUE(given.arrived(*result.options));
}

TEST_P(GivenTest, IsInTheHelp) {
  const std::string help = ParseFlags({"--help"}).text;
  EXPECT_THAT(help, HasSubstr(GetParam().flag + " "));
  EXPECT_THAT(help, HasSubstr("[" + GetParam().variable + "; default: "));
}

INSTANTIATE_TEST_SUITE_P(
    Table, GivenTest,
    ::testing::Values(
        Given{"--listen", "GANTRY_LISTEN", "[::]:0",
              [](const Options& o) {
                return o.listen == Address{"::", 0};
              }},
        Given{"--admin-listen", "GANTRY_ADMIN_LISTEN", "localhost:65535",
              [](const Options& o) {
                return o.admin_listen == Address{"localhost", 65535};
              }},
        Given{"--kubeconfig", "GANTRY_KUBECONFIG", "/a b/c",
              [](const Options& o) { return o.kubeconfig == "/a b/c"; }},
        Given{"--context", "GANTRY_CONTEXT", "kind",
              [](const Options& o) { return o.context == "kind"; }},
        Given{"--argocd-kubeconfig", "GANTRY_ARGOCD_KUBECONFIG", "x",
              [](const Options& o) { return o.argocd_kubeconfig == "x"; }},
        Given{"--argocd-context", "GANTRY_ARGOCD_CONTEXT", "y",
              [](const Options& o) { return o.argocd_context == "y"; }},
        Given{"--argocd-namespace", "GANTRY_ARGOCD_NAMESPACE", "gitops",
              [](const Options& o) {
                return o.argocd_namespace == "gitops" &&
                       o.watch_namespaces == std::vector<std::string>{"gitops"};
              }},
        Given{"--watch-namespaces", "GANTRY_WATCH_NAMESPACES", "a, b,a,c-1",
              [](const Options& o) {
                return !o.watch_all_namespaces &&
                       o.watch_namespaces == std::vector<std::string>{"a", "b", "c-1"};
              }},
        Given{
            "--watch-namespaces", "GANTRY_WATCH_NAMESPACES", "*",
            [](const Options& o) { return o.watch_all_namespaces && o.watch_namespaces.empty(); }},
        Given{"--stage-namespace", "GANTRY_STAGE_NAMESPACE", "gantry",
              [](const Options& o) { return o.stage_namespace == "gantry"; }},
        Given{"--staleness-limit", "GANTRY_STALENESS_LIMIT", "90s",
              [](const Options& o) { return o.staleness_limit == absl::Seconds(90); }},
        Given{"--max-sync-attempts", "GANTRY_MAX_SYNC_ATTEMPTS", "1",
              [](const Options& o) { return o.max_sync_attempts == 1; }},
        Given{"--operation-initiator", "GANTRY_OPERATION_INITIATOR", "Gantry (prod)",
              [](const Options& o) { return o.operation_initiator == "Gantry (prod)"; }},
        Given{"--max-wait", "GANTRY_MAX_WAIT", "0s",
              [](const Options& o) { return o.max_wait == absl::ZeroDuration(); }},
        Given{"--step-workers", "GANTRY_STEP_WORKERS", "1024",
              [](const Options& o) { return o.step_workers == 1024; }},
        Given{"--kube-qps", "GANTRY_KUBE_QPS", "7",
              [](const Options& o) { return o.kube_qps == 7; }},
        Given{"--kube-burst", "GANTRY_KUBE_BURST", "8",
              [](const Options& o) { return o.kube_burst == 8; }},
        Given{"--drain-timeout", "GANTRY_DRAIN_TIMEOUT", "1h",
              [](const Options& o) { return o.drain_timeout == absl::Hours(1); }},
        Given{"--log-level", "GANTRY_LOG_LEVEL", "debug",
              [](const Options& o) { return o.log_level == LogLevel::kDebug; }},
        Given{"--log-level", "GANTRY_LOG_LEVEL", "warn",
              [](const Options& o) { return o.log_level == LogLevel::kWarning; }},
        Given{"--log-level", "GANTRY_LOG_LEVEL", "error",
              [](const Options& o) { return o.log_level == LogLevel::kError; }},
        Given{"--log-format", "GANTRY_LOG_FORMAT", "text",
              [](const Options& o) { return o.log_format == LogFormat::kText; }},
        Given{"--port-file", "GANTRY_PORT_FILE", "/run/ports",
              [](const Options& o) { return o.port_file == "/run/ports"; }}));

TEST(Options, AFlagWinsOverTheEnvironment) {
  const auto result = Parse({"--context", "flag"}, In({{"GANTRY_CONTEXT", "variable"}}), false);
  EXPECT_EQ(result.options->context, "flag");
}

TEST(Options, AVariableThatAFlagOverridesIsNotEvenChecked) {
  const auto result = Parse({"--kube-qps=1"}, In({{"GANTRY_KUBE_QPS", "lots"}}), false);
  EXPECT_THAT(result.usage_errors, IsEmpty());
}

TEST(Options, AnEmptyVariableCountsAsNotSet) {
  const auto result = Parse({}, In({{"GANTRY_LISTEN", ""}, {"GANTRY_PORT_FILE", ""}}), false);
  ASSERT_THAT(result.usage_errors, IsEmpty());
  EXPECT_EQ(result.options->listen.port, 50051);
}

TEST(Options, OfAFlagGivenTwiceTheLastCounts) {
  EXPECT_EQ(ParseFlags({"--context=a", "--context=b"}).options->context, "b");
}

struct UsageError {
  std::string name;
  std::vector<std::string> arguments;
  std::string sentence;
};

void PrintTo(const UsageError& usage_error, std::ostream* out) { *out << usage_error.name; }

class UsageErrorTest : public ::testing::TestWithParam<UsageError> {};

TEST_P(UsageErrorTest, IsTold) {
  const ParseResult result = ParseFlags(GetParam().arguments);
  EXPECT_FALSE(result.options.has_value());
  EXPECT_THAT(result.usage_errors, ElementsAre(GetParam().sentence));
}

const std::string kAddress =
    "; expected host:port with an IPv6 address in brackets, such as 127.0.0.1:50051, "
    "0.0.0.0:50051 or [::1]:50051.";
const std::string kNamespace =
    "1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends.";
const std::string kShortDuration =
    "; expected a duration from 0 to 1h with its unit, such as 90s, 2m or 1h30m.";

INSTANTIATE_TEST_SUITE_P(
    Table, UsageErrorTest,
    ::testing::Values(
        UsageError{"NoPort", {"--listen=localhost"}, "--listen is \"localhost\"" + kAddress},
        UsageError{"NoHost", {"--listen=:80"}, "--listen is \":80\"" + kAddress},
        UsageError{"PortTooLarge", {"--listen=a:65536"}, "--listen is \"a:65536\"" + kAddress},
        UsageError{"Ipv6WithoutBrackets", {"--listen=::1:80"}, "--listen is \"::1:80\"" + kAddress},
        UsageError{
            "UnixSocket", {"--admin-listen=unix:/a"}, "--admin-listen is \"unix:/a\"" + kAddress},
        UsageError{"ControlCharacters", {"--listen=a\nb"}, "--listen is \"a\\nb\"" + kAddress},
        UsageError{"LongValueIsCut",
                   {"--listen=" + std::string(200, 'a')},
                   "--listen is \"" + std::string(100, 'a') + "…\"" + kAddress},
        UsageError{"BareNumberAsDuration",
                   {"--drain-timeout=90"},
                   "--drain-timeout is \"90\"" + kShortDuration},
        UsageError{"NegativeDuration",
                   {"--drain-timeout", "-3s"},
                   "--drain-timeout is \"-3s\"" + kShortDuration},
        UsageError{"DurationTooLong",
                   {"--drain-timeout=1h1ms"},
                   "--drain-timeout is \"1h1ms\"" + kShortDuration},
        UsageError{
            "StalenessLimitTooShort",
            {"--staleness-limit=999ms"},
            "--staleness-limit is \"999ms\"; expected a duration from 1s to 24h with its unit, "
            "such as 90s, 2m or 1h30m."},
        UsageError{"NumberTooSmall",
                   {"--step-workers=0"},
                   "--step-workers is \"0\"; expected a whole number from 1 to 1024."},
        UsageError{"NumberNegative",
                   {"--kube-qps", "-5"},
                   "--kube-qps is \"-5\"; expected a whole number from 0 to 100000."},
        UsageError{"NumberWithText",
                   {"--max-sync-attempts=5x"},
                   "--max-sync-attempts is \"5x\"; expected a whole number from 1 to 100."},
        UsageError{"NumberTooLargeForAnyInteger",
                   {"--kube-burst=99999999999999999999"},
                   "--kube-burst is \"99999999999999999999\"; expected a whole number from 1 to "
                   "100000."},
        UsageError{"NamespaceUpperCase",
                   {"--argocd-namespace=ArgoCD"},
                   "--argocd-namespace is \"ArgoCD\"; expected a namespace: " + kNamespace},
        UsageError{"NamespaceTooLong",
                   {"--stage-namespace=" + std::string(64, 'a')},
                   "--stage-namespace is \"" + std::string(64, 'a') +
                       "\"; expected a namespace: " + kNamespace},
        UsageError{
            "OneOfTheNamespaces",
            {"--watch-namespaces=a,B,c"},
            "--watch-namespaces is \"a,B,c\"; expected namespaces separated by commas, or *; "
            "\"B\" is none: " +
                kNamespace},
        UsageError{"AnEmptyNamespace",
                   {"--watch-namespaces=a,,c"},
                   "--watch-namespaces is \"a,,c\"; expected namespaces separated by commas, or *; "
                   "\"\" is none: " +
                       kNamespace},
        UsageError{
            "StarAmongNamespaces",
            {"--watch-namespaces=a,*"},
            "--watch-namespaces is \"a,*\"; expected namespaces, or * alone for all of them."},
        UsageError{"LogLevel",
                   {"--log-level=warning"},
                   "--log-level is \"warning\"; expected one of debug, info, warn, error."},
        UsageError{"LogFormat",
                   {"--log-format=xml"},
                   "--log-format is \"xml\"; expected one of json, text."},
        UsageError{"InitiatorWithControlCharacter",
                   {"--operation-initiator=a\tb"},
                   "--operation-initiator is \"a\\tb\"; expected 1 to 253 printable ASCII "
                   "characters."},
        UsageError{"NoValueAtTheEnd",
                   {"--port-file"},
                   "--port-file has no value; expected FILE after it, see --help."},
        UsageError{"NoValueBeforeAnotherFlag",
                   {"--listen", "--context", "a"},
                   "--listen has no value; expected ADDRESS after it, see --help."},
        UsageError{"EmptyValue",
                   {"--kubeconfig="},
                   "--kubeconfig has no value; expected FILE after it, see --help."},
        UsageError{"UnknownFlagWithANearName",
                   {"--listn=a:1"},
                   "There is no flag \"--listn\"; did you mean --listen?"},
        UsageError{
            "UnknownFlag", {"--frobnicate"}, "There is no flag \"--frobnicate\"; see --help."},
        UsageError{"UnknownShortFlag", {"-x"}, "There is no flag \"-x\"; see --help."},
        UsageError{
            "NotAFlag", {"serve"}, "\"serve\" is not a flag; expected flags only. See --help."},
        UsageError{"DoubleDash",
                   {"--", "--listen"},
                   "\"--\" and what follows are not taken; expected flags only."}),
    [](const auto& usage_error) { return usage_error.param.name; });

TEST(Options, EveryUsageErrorIsTold) {
  const ParseResult result =
      Parse({"--log-levle=info", "--listen=x", "--kube-qps=none", "stray"},
            In({{"GANTRY_MAX_WAIT", "10"}, {"GANTRY_LOG_FORMAT", "csv"}}), false);
  EXPECT_FALSE(result.options.has_value());
  EXPECT_THAT(
      result.usage_errors,
      ElementsAre(HasSubstr("did you mean --log-level?"), HasSubstr("\"stray\""),
                  HasSubstr("--listen is \"x\""), HasSubstr("GANTRY_MAX_WAIT is \"10\""),
                  HasSubstr("--kube-qps is \"none\""), HasSubstr("GANTRY_LOG_FORMAT is \"csv\"")));
}

TEST(Options, HelpIsGivenWhateverElseIsWrong) {
  for (const std::string flag : {"--help", "-h"}) {
    const ParseResult result = ParseFlags({"--listen", flag, "--frobnicate"});
    EXPECT_THAT(result.text, HasSubstr("Usage: gantry-server"));
    EXPECT_THAT(result.usage_errors, IsEmpty());
    EXPECT_FALSE(result.options.has_value());
  }
}

TEST(Options, Version) {
  const ParseResult result = ParseFlags({"--version"});
  EXPECT_THAT(result.text, ::testing::MatchesRegex("gantry-server [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_FALSE(result.options.has_value());
}

TEST(Options, ParseNeverThrowsWhateverIsTyped) {
  for (const std::string argument :
       {"", "-", "---", "=", "--=", "--=x", "--help=maybe", "-h5", "--version=", "\xff", "--\xff",
        "-\n", "--listen==", "[", "{}", "%%"}) {
    const ParseResult result = ParseFlags({argument});
    EXPECT_EQ((result.options ? 1 : 0) + (result.text.empty() ? 0 : 1) +
                  (result.usage_errors.empty() ? 0 : 1),
              1)
        << argument;
  }
}

struct AddressCase {
  std::string text;
  std::optional<Address> expected;
};

TEST(ParseAddress, Table) {
  const AddressCase table[] = {
      {"127.0.0.1:50051", Address{"127.0.0.1", 50051}},
      {"localhost:0", Address{"localhost", 0}},
      {"gantry.example.com:443", Address{"gantry.example.com", 443}},
      {"[::]:80", Address{"::", 80}},
      {"[::ffff:10.0.0.1]:80", Address{"::ffff:10.0.0.1", 80}},
      {"", std::nullopt},
      {":", std::nullopt},
      {":80", std::nullopt},
      {"a:", std::nullopt},
      {"a:-1", std::nullopt},
      {"a:+1", std::nullopt},
      {"a: 1", std::nullopt},
      {"a:http", std::nullopt},
      {"a:000000", std::nullopt},
      {"::1", std::nullopt},
      {"::1:80", std::nullopt},
      {"[::1]", std::nullopt},
      {"[]:80", std::nullopt},
      {"[a]:80", std::nullopt},
      {"[127.0.0.1]:80", std::nullopt},
      {"[::1:80", std::nullopt},
      {"http://a:80", std::nullopt},
      {"a/b:80", std::nullopt},
      {"a b:80", std::nullopt},
  };
  for (const AddressCase& c : table) EXPECT_EQ(ParseAddress(c.text), c.expected) << c.text;
}

TEST(Address, ToStringIsReadAgain) {
  for (const Address& address :
       {Address{"127.0.0.1", 1}, Address{"::1", 0}, Address{"host", 443}}) {
    EXPECT_EQ(ParseAddress(address.ToString()), address);
  }
}

}  // namespace
}  // namespace gantry::options
