// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/health.h"
#include "client/gantryctl/render.h"
#include "client/gantryctl/step_file.h"
#include "client/gantryctl/text.h"
#include "client/gantryctl/yaml.h"
#include "gantry/client/client.h"

namespace gantry::gantryctl {
namespace {

bool IsSet(const Environment& environment, const std::string& name) {
  const std::optional<std::string> value = environment(name);
  return value && !value->empty();
}

bool IsDumb(const Environment& environment) { return environment("TERM") == "dumb"; }

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
  for (const Remark& mistake : parsed.mistakes) {
    world.write_err(absl::StrCat("gantryctl: ", mistake.Format(file), "\n"));
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
                                   bool color) {
  switch (flags.output) {
    case OutputFormat::kJson:
      return RenderJson(response);
    case OutputFormat::kYaml:
      return RenderYaml(response);
    case OutputFormat::kTable:
      break;
  }
  return RenderTable(response, flags.dry_run, color);
}

int RunStep(const RunStepFlags& flags, const World& world) {
  const std::optional<v1::RunStepRequest> request = MakeRequest(flags, world);
  if (!request) return kExitUsage;

  const bool dumb = IsDumb(world.environment);
  const std::unique_ptr<Progress> progress =
      world.err_is_terminal && !dumb ? MakeTerminalProgress(world.write_err, world.terminal_width)
                                     : MakePlainProgress(world.write_err);
  if (world.err_is_terminal) {
    progress->Show(absl::ZeroDuration(), absl::StrCat("calling ", flags.server));
  }
  if (world.on_calling) world.on_calling(flags.dry_run);

  client::RunStepOptions options;
  options.timeout = flags.timeout;
  options.timing = world.timing;
  const client::Client client(world.connect(flags.server));
  const client::RunStepResult result =
      client.RunStepUntilDone(*request, options, [&](const client::RunStepProgress& now) {
        progress->Show(now.elapsed, ProgressLine(now, flags.server));
      });
  progress->Finish();

  int exit_code = ExitCodeFor(result);
  // What was last known of a step is a result too, as long as the service is there.
  const bool is_result =
      result.ending == client::Ending::kVerdict || result.ending == client::Ending::kTimedOut;
  if (is_result && result.response) {
    const bool color = world.out_is_terminal && !dumb && !IsSet(world.environment, "NO_COLOR");
    const absl::StatusOr<std::string> text = Render(*result.response, flags, color);
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
  if (!failure.empty()) world.write_err(absl::StrCat("gantryctl: ", failure));
  return exit_code;
}

}  // namespace

int Run(const std::vector<std::string>& arguments, const World& world) {
  const CommandLine command = ParseCommandLine(arguments, world.environment);
  if (command.run_step) return RunStep(*command.run_step, world);
  if (command.health) return Health(*command.health, world);
  for (const std::string& mistake : command.mistakes) {
    world.write_err(absl::StrCat("gantryctl: ", mistake, "\n"));
  }
  if (!command.mistakes.empty()) return kExitUsage;
  return world.write_out(command.text) ? kExitSucceeded : kExitFailed;
}

}  // namespace gantry::gantryctl
