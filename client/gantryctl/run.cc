// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/run.h"

#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/health.h"
#include "client/gantryctl/render.h"
#include "client/gantryctl/report.h"
#include "client/gantryctl/step_file.h"
#include "client/gantryctl/steps.h"
#include "client/gantryctl/text.h"
#include "client/gantryctl/yaml.h"
#include "gantry/client/client.h"

namespace gantry::gantryctl {
namespace {

// Reads the step file into the request; tells what is wrong and returns nothing if it cannot.
std::optional<v1::RunStepRequest> MakeRequest(const RunStepFlags& flags, const World& world) {
  const std::string file = flags.file == "-" ? "standard input" : Printable(flags.file);
  const absl::StatusOr<std::string> text = world.read(flags.file, kMaxYamlBytes);
  if (!text.ok()) {
    world.write_err(absl::StrCat("gantryctl: ", file,
                                 " cannot be read: ", std::string(text.status().message()),
                                 "; expected a file that holds a step\n"));
    return std::nullopt;
  }
  StepFile parsed = ParseStepFile(*text);
  for (const Remark& error : parsed.errors) {
    world.write_err(absl::StrCat("gantryctl: ", error.Format(file), "\n"));
  }
  if (!parsed.step) return std::nullopt;
  for (const Remark& warning : parsed.warnings) {
    world.write_err(absl::StrCat("gantryctl: warning: ", warning.Format(file), "\n"));
  }

  v1::RunStepRequest request;
  request.set_project(flags.project);
  request.set_stage(flags.stage);
  request.set_promotion(flags.promotion);
  request.set_step(!flags.step.empty() ? flags.step : parsed.step->alias);
  request.set_uses(parsed.step->uses);
  *request.mutable_config() = std::move(parsed.step->config);
  request.set_actor(flags.actor);
  request.set_dry_run(flags.dry_run);
  return request;
}

absl::StatusOr<std::string> Render(const v1::RunStepResponse& response, const RunStepFlags& flags,
                                   const Look& look) {
  switch (flags.output) {
    case OutputFormat::kJson:
      return RenderJson(response);
    case OutputFormat::kYaml:
      return RenderYaml(response);
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      break;
  }
  return RenderTable(response, flags.dry_run, look);
}

int RunStep(const RunStepFlags& flags, const World& world) {
  const std::optional<v1::RunStepRequest> request = MakeRequest(flags, world);
  if (!request) return kExitUsage;
  std::shared_ptr<client::Connection> connection = ConnectOrTell(flags, world);
  if (connection == nullptr) return kExitUsage;

  const std::unique_ptr<Progress> progress =
      world.err_is_terminal && !IsDumb(world)
          ? MakeTerminalProgress(world.write_err, world.terminal_width)
          : MakePlainProgress(world.write_err);
  if (world.err_is_terminal) {
    progress->Show(absl::ZeroDuration(), absl::StrCat("calling ", flags.server));
  }
  if (world.on_calling) world.on_calling(flags.dry_run);

  client::RunStepOptions options;
  options.timeout = flags.timeout;
  options.timing = world.timing;
  const client::RunStepResult result =
      client::Client(std::move(connection))
          .RunStepUntilDone(*request, options, [&](const client::RunStepProgress& now) {
            progress->Show(now.elapsed, ProgressLine(now, flags.server));
          });
  progress->Finish();

  int exit_code = ExitCodeFor(result);
  // What was last known of a step is a result too, as long as the service is there.
  const bool is_result =
      result.ending == client::Ending::kVerdict || result.ending == client::Ending::kTimedOut;
  if (is_result && result.response) {
    const absl::StatusOr<std::string> text =
        Render(*result.response, flags, LookOf(flags.output, world));
    std::string problem;
    if (!text.ok()) {
      problem = std::string(text.status().message());
    } else if (!world.write_out(*text)) {
      problem = "standard output cannot be written";
    }
    if (!problem.empty()) {
      world.write_err(absl::StrCat("gantryctl: ", problem,
                                   "; the verdict is: ", VerdictLine(*result.response), "\n"));
      if (exit_code == kExitSucceeded) exit_code = kExitFailed;
    }
  }
  const std::string failure = RenderFailure(result, flags.server);
  if (!failure.empty()) Tell(world, absl::StrCat(failure, Advice(result.error, flags, world)));
  return exit_code;
}

// The names that only the service knows; none when it does not tell at once. Nobody is told why: a
// shell has no place for it.
std::vector<std::string> NamesFor(const CompleteFlags& flags, const World& world) {
  constexpr absl::Duration kPatience = absl::Seconds(2);
  if (!flags.service_known) return {};
  const absl::StatusOr<std::shared_ptr<client::Connection>> connection = world.connect(flags);
  if (!connection.ok()) return {};
  std::set<std::string> names;
  if (flags.completion.names == Completion::Names::kKinds) {
    const auto kinds = (*connection)->ListStepKinds({}, kPatience);
    if (!kinds.ok()) return {};
    for (const v1::StepKind& kind : kinds->kinds()) names.insert(kind.uses());
  } else {
    v1::ListStageHealthRequest request;
    request.set_page_size(1000);
    if (flags.completion.names == Completion::Names::kStageNames) {
      if (FirstInvalidUtf8(flags.completion.project)) return {};
      request.set_project(flags.completion.project);
    }
    const auto stages = (*connection)->ListStageHealth(request, kPatience);
    if (!stages.ok()) return {};
    for (const v1::StageHealth& health : stages->stages()) {
      if (flags.completion.names == Completion::Names::kProjects) {
        names.insert(health.project());
      } else if (flags.completion.names == Completion::Names::kStageNames) {
        names.insert(health.stage());
      } else {
        names.insert(absl::StrCat(health.project(), "/", health.stage()));
      }
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace

int Run(const std::vector<std::string>& arguments, const World& world) {
  const CommandLine command = ParseCommandLine(arguments, world.environment);
  if (command.run_step) return RunStep(*command.run_step, world);
  if (command.health) return Health(*command.health, world);
  if (command.steps) return Steps(*command.steps, world);
  if (command.report_promotion) return ReportPromotion(*command.report_promotion, world);
  if (command.report_indicator) return ReportIndicator(*command.report_indicator, world);
  if (command.complete) {
    const std::string candidates =
        RenderCompletion(command.complete->completion, NamesFor(*command.complete, world));
    return candidates.empty() || world.write_out(candidates) ? kExitSucceeded : kExitFailed;
  }
  for (const std::string& usage_error : command.usage_errors) {
    world.write_err(absl::StrCat("gantryctl: ", usage_error, "\n"));
  }
  if (!command.usage_errors.empty()) return kExitUsage;
  return world.write_out(command.text) ? kExitSucceeded : kExitFailed;
}

}  // namespace gantry::gantryctl
