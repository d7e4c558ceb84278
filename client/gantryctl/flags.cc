// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/flags.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/durations.h"
#include "base/text.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

template <typename Flags>
Setter<Flags> SetText(std::string Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    if (FirstInvalidUtf8(text)) return "text in UTF-8";
    flags.*member = text;
    return std::nullopt;
  };
}

template <typename Flags>
Setter<Flags> SetSwitch(bool Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    if (text != "true" && text != "false") return "true or false";
    flags.*member = text == "true";
    return std::nullopt;
  };
}

// host:port, or a name with a scheme that gRPC resolves.
template <typename Flags>
std::optional<std::string> SetServer(const std::string& text, Flags& flags) {
  const char* const expected =
      "the gRPC address of a gantry-server as host:port, such as 127.0.0.1:50051 or [::1]:50051 "
      "(dns:///host:port and unix:/path are taken too)";
  for (const unsigned char c : text) {
    if (c <= ' ' || c >= 0x7f) return expected;
  }
  const bool other_scheme = text.rfind("unix:", 0) == 0 || text.rfind("unix-abstract:", 0) == 0;
  if (!other_scheme) {
    std::string address = text;
    for (const std::string scheme : {"dns:", "ipv4:", "ipv6:"}) {
      if (address.rfind(scheme, 0) == 0) address = address.substr(scheme.size());
    }
    if (address.rfind("//", 0) == 0) address = address.substr(address.rfind('/') + 1);
    const std::size_t colon = address.rfind(':');
    int port = 0;
    if (colon == std::string::npos || colon == 0 || address.find('/') != std::string::npos ||
        !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535 ||
        (address.find(':') != colon && address[0] != '[')) {
      return expected;
    }
  }
  flags.server = text;
  return std::nullopt;
}

template <typename Flags>
std::optional<std::string> SetToken(const std::string& text, Flags& flags) {
  for (const unsigned char c : text) {
    if (c <= ' ' || c >= 0x7f) return "a bearer token, which is printable ASCII without blanks";
  }
  flags.token = text;
  return std::nullopt;
}

template <typename Flags>
std::optional<std::string> SetTimeout(const std::string& text, Flags& flags) {
  const std::optional<absl::Duration> duration = base::ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 30)) {
    return "a duration above zero and up to 720h with its unit, such as 90s, 5m or 1h30m";
  }
  flags.timeout = *duration;
  return std::nullopt;
}

std::optional<std::string> SetTtl(const std::string& text, ReportIndicatorFlags& flags) {
  const std::optional<absl::Duration> duration = base::ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 3650)) {
    return "a duration above zero and up to 87600h with its unit, such as 90s, 10m or 24h";
  }
  flags.ttl = *duration;
  return std::nullopt;
}

constexpr char kOutputs[] = "table|wide|json|yaml";

template <typename Flags>
std::optional<std::string> SetOutput(const std::string& text, Flags& flags) {
  if (text == "table") {
    flags.output = OutputFormat::kTable;
  } else if (text == "wide") {
    flags.output = OutputFormat::kWide;
  } else if (text == "json") {
    flags.output = OutputFormat::kJson;
  } else if (text == "yaml") {
    flags.output = OutputFormat::kYaml;
  } else {
    return "table, wide, json or yaml";
  }
  return std::nullopt;
}

constexpr char kPhases[] = "running|succeeded|failed|errored|aborted";

std::optional<std::string> SetPhase(const std::string& text, ReportPromotionFlags& flags) {
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_UNSPECIFIED;
  if (!v1::PromotionPhase_Parse(absl::StrCat("PROMOTION_PHASE_", absl::AsciiStrToUpper(text)),
                                &phase) ||
      phase == v1::PROMOTION_PHASE_UNSPECIFIED) {
    return "running, succeeded, failed, errored or aborted";
  }
  flags.phase = phase;
  return std::nullopt;
}

template <typename Flags>
Setter<Flags> SetState(v1::HealthState Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    std::string name = absl::AsciiStrToUpper(text);
    std::replace(name.begin(), name.end(), '-', '_');
    v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
    if (!v1::HealthState_Parse(absl::StrCat("HEALTH_STATE_", name), &state) ||
        state == v1::HEALTH_STATE_UNSPECIFIED) {
      return "healthy, not-applicable, progressing, unknown or unhealthy";
    }
    flags.*member = state;
    return std::nullopt;
  };
}

// PROJECT or PROJECT/STAGE.
std::optional<std::string> SetStage(const std::string& text, HealthFlags& flags) {
  const std::size_t slash = text.find('/');
  flags.project = text.substr(0, slash);
  if (slash != std::string::npos) flags.stage = text.substr(slash + 1);
  if (flags.project.empty() || (slash != std::string::npos && flags.stage.empty()) ||
      flags.stage.find('/') != std::string::npos || FirstInvalidUtf8(text)) {
    return "a project, such as shop, or a project and a Stage, such as shop/prod";
  }
  return std::nullopt;
}

// `flags`, and those of every command that calls the service, in the order of the help.
template <typename Flags>
FlagList<Flags> WithServiceFlags(FlagList<Flags> flags) {
  using Kind = typename Flag<Flags>::Kind;
  FlagList<Flags> all = {
      {"--server", "--server", "ADDRESS", "Where the service is.", "127.0.0.1:50051",
       "GANTRY_SERVER", true, SetServer<Flags>},
  };
  FlagList<Flags> security = {
      {"--token", "--token", "TOKEN",
       "The bearer token that tells who calls. Others on this machine can see\nit in the list of "
       "processes; better use the variable, or a file.",
       "", "GANTRY_TOKEN", false, SetToken<Flags>},
      {"--token-file", "--token-file", "FILE",
       "A file that holds the token; read again for each call.", "", "GANTRY_TOKEN_FILE", false,
       SetText<Flags>(&Flags::token_file)},
      {"--ca-file", "--ca-file", "FILE",
       "The certificate authorities that the service's certificate may be\nfrom, PEM; default: "
       "the system's.",
       "", "GANTRY_CA_FILE", false, SetText<Flags>(&Flags::ca_file)},
      {"--cert-file", "--cert-file", "FILE",
       "The certificate that tells who calls, PEM, with its chain.", "", "GANTRY_CERT_FILE", false,
       SetText<Flags>(&Flags::cert_file)},
      {"--key-file", "--key-file", "FILE", "The private key of that certificate, PEM.", "",
       "GANTRY_KEY_FILE", false, SetText<Flags>(&Flags::key_file)},
      {"--plaintext", "--plaintext", "",
       "Do not secure the connection; --plaintext=false: do. See Connection\nbelow.", "",
       "GANTRY_PLAINTEXT", false, SetSwitch<Flags>(&Flags::plaintext), Kind::kSwitch},
  };
  // Positions come last.
  const auto position = std::find_if(flags.begin(), flags.end(), [](const Flag<Flags>& flag) {
    return flag.kind == Kind::kPosition;
  });
  all.insert(all.end(), flags.begin(), position);
  all.insert(all.end(), security.begin(), security.end());
  all.insert(all.end(), position, flags.end());
  return all;
}

template <typename Flags>
Flag<Flags> OutputFlag(const std::string& what) {
  return {"-o,--output", "--output",      kOutputs, absl::StrCat("How to print ", what, "."),
          "table",       "GANTRY_OUTPUT", true,     SetOutput<Flags>};
}

// What every --timeout has in common.
constexpr char kUnreachableHelp[] = "Where nothing answers at all it ends after 10s.";

template <typename Flags>
Flag<Flags> TimeoutFlag() {
  return {"--timeout",
          "--timeout",
          "DURATION",
          absl::StrCat("How long to try while the service cannot respond.\n", kUnreachableHelp),
          "30s",
          "GANTRY_TIMEOUT",
          true,
          SetTimeout<Flags>};
}

}  // namespace

FlagList<RunStepFlags> FlagsOfRunStep() {
  using F = RunStepFlags;
  using Kind = Flag<F>::Kind;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that is promoted.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--promotion", "--promotion", "NAME",
       "The promotion that the step is a part of. Run again with the same\nname to follow it; a "
       "new name is a new promotion.",
       "", "GANTRY_PROMOTION", true, SetText(&F::promotion)},
      {"--step", "--step", "ALIAS",
       "The name of the step in the promotion, in place of the file's `as`.\nWithout either it "
       "is the file's `uses`.",
       "", "GANTRY_STEP", false, SetText(&F::step)},
      {"--actor", "--actor", "NAME", "Who asks for it, when a person does.", "", "GANTRY_ACTOR",
       false, SetText(&F::actor)},
      {"--timeout", "--timeout", "DURATION",
       absl::StrCat("How long to go on while the step is running, as 90s, 5m, 1h30m.\n",
                    kUnreachableHelp),
       "5m", "GANTRY_TIMEOUT", true, SetTimeout<F>},
      OutputFlag<F>("the result"),
      {"-f,--file", "--file", "FILE",
       "The file that holds the step; - for standard input. Can be given\nwithout the flag.", "",
       "", false, SetText(&F::file)},
      {"--dry-run", "--dry-run", "",
       "Show what the step would write, and write nothing. One response, no waiting.", "", "",
       false, SetSwitch(&F::dry_run), Kind::kSwitch},
      {"FILE", "The step file", "FILE", "The file that holds the step; - for standard input.", "",
       "", false,
       [](const std::string& text, F& flags) -> std::optional<std::string> {
         if (!flags.file.empty()) {
           return absl::StrCat("nothing, since it is given as --file ",
                               base::Quote(flags.file, 100), " already");
         }
         if (text.empty()) return "the name of a file, or - for standard input";
         return SetText(&F::file)(text, flags);
       },
       Kind::kPosition},
  });
}

FlagList<HealthFlags> FlagsOfHealth() {
  using F = HealthFlags;
  using Kind = Flag<F>::Kind;
  return WithServiceFlags<F>({
      {"--timeout", "--timeout", "DURATION",
       "How long to try while the service cannot respond, 30s by default. With\n--watch how long "
       "to "
       "watch, without end by default; with --wait-for how\nlong to wait, 5m by default. " +
           std::string(kUnreachableHelp),
       "", "GANTRY_TIMEOUT", false, SetTimeout<F>},
      OutputFlag<F>("the health"),
      {"-w,--watch", "--watch", "", "Go on, and show what changes.", "", "", false,
       SetSwitch(&F::watch), Kind::kSwitch},
      {"--wait-for", "--wait-for", kStates, "Show how the Stage changes until it is in this state.",
       "", "", false, SetState(&F::wait_for)},
      {"PROJECT[/STAGE]", "The Stage", "PROJECT[/STAGE]",
       "The project whose Stages to show, or the one Stage. Default: all.", "", "", false, SetStage,
       Kind::kPosition},
  });
}

FlagList<StepsFlags> FlagsOfSteps() {
  using F = StepsFlags;
  return WithServiceFlags<F>({
      TimeoutFlag<F>(),
      OutputFlag<F>("the kinds"),
      {"KIND", "The kind", "KIND", "The kind whose configuration to show, such as argocd-update.",
       "", "", false, SetText(&F::kind), Flag<F>::Kind::kPosition},
  });
}

FlagList<ReportPromotionFlags> FlagsOfReportPromotion() {
  using F = ReportPromotionFlags;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that is promoted.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--promotion", "--promotion", "NAME", "The promotion.", "", "GANTRY_PROMOTION", true,
       SetText(&F::promotion)},
      {"--phase", "--phase", kPhases, "Where the promotion is.", "", "", true, SetPhase},
      {"--message", "--message", "TEXT", "Why it is there, for people.", "", "", false,
       SetText(&F::message)},
      TimeoutFlag<F>(),
      OutputFlag<F>("that it is recorded"),
  });
}

FlagList<ReportIndicatorFlags> FlagsOfReportIndicator() {
  using F = ReportIndicatorFlags;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that it is about.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--name", "--name", "NAME", "The name of the indicator, unique in its Stage.", "", "", true,
       SetText(&F::name)},
      {"--state", "--state", kStates, "What it says.", "", "", false, SetState(&F::state)},
      {"--message", "--message", "TEXT", "Why, for people.", "", "", false, SetText(&F::message)},
      {"--ttl", "--ttl", "DURATION",
       "How long the report counts, as 90s, 10m, 24h; without it for ever.", "", "", false, SetTtl},
      {"--remove", "--remove", "", "Remove the indicator.", "", "", false, SetSwitch(&F::remove),
       Flag<F>::Kind::kSwitch},
      TimeoutFlag<F>(),
      OutputFlag<F>("that it is recorded"),
  });
}

FlagList<CompleteFlags> FlagsOfCompletion() { return WithServiceFlags<CompleteFlags>({}); }

}  // namespace gantry::gantryctl
