// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/report.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/durations.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

constexpr char kReporting[] = "record the report";

// The response to a report is empty.
int PrintDone(OutputFormat output, const std::string& sentence, const World& world) {
  const bool for_people = output == OutputFormat::kTable || output == OutputFormat::kWide;
  return Print(for_people ? absl::StrCat(sentence, "\n") : std::string("{}\n"), world)
             ? kExitSucceeded
             : kExitFailed;
}

}  // namespace

int ReportPromotion(const ReportPromotionFlags& flags, const World& world) {
  v1::ReportPromotionRequest request;
  request.set_project(flags.project);
  request.set_stage(flags.stage);
  request.set_promotion(flags.promotion);
  request.set_phase(flags.phase);
  request.set_message(flags.message);
  const ExitCode code =
      CallService(flags, flags.timeout, kReporting, world,
                  [&](const client::Client& client, const client::CallOptions& options) {
                    return client.ReportPromotion(request, options);
                  });
  if (code != kExitSucceeded) return code;
  return PrintDone(
      flags.output,
      absl::StrCat("Promotion ", OneLine(flags.promotion), " of Stage ", OneLine(flags.project),
                   "/", OneLine(flags.stage), " is reported as ",
                   Word(v1::PromotionPhase_Name(flags.phase), "PROMOTION_PHASE_", flags.phase),
                   "."),
      world);
}

int ReportIndicator(const ReportIndicatorFlags& flags, const World& world) {
  v1::ReportIndicatorRequest request;
  request.set_project(flags.project);
  request.set_stage(flags.stage);
  request.set_name(flags.name);
  request.set_state(flags.state);
  request.set_message(flags.message);
  if (flags.ttl) {
    absl::Duration rest;
    request.mutable_ttl()->set_seconds(absl::IDivDuration(*flags.ttl, absl::Seconds(1), &rest));
    request.mutable_ttl()->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
  }
  const ExitCode code =
      CallService(flags, flags.timeout, kReporting, world,
                  [&](const client::Client& client, const client::CallOptions& options) {
                    return client.ReportIndicator(request, options);
                  });
  if (code != kExitSucceeded) return code;
  std::string sentence = absl::StrCat("Indicator ", OneLine(flags.name), " of Stage ",
                                      OneLine(flags.project), "/", OneLine(flags.stage));
  if (flags.remove) {
    sentence += " is removed.";
  } else {
    absl::StrAppend(&sentence, " is reported as ",
                    Word(v1::HealthState_Name(flags.state), "HEALTH_STATE_", flags.state),
                    flags.ttl ? absl::StrCat(" for ", base::FormatGoDuration(*flags.ttl)) : "",
                    ".");
  }
  return PrintDone(flags.output, sentence, world);
}

}  // namespace gantry::gantryctl
