// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/health.h"

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/health_render.h"
#include "gantry/client/client.h"
#include "gantry/client/health_watch.h"

namespace gantry::gantryctl {
namespace {

// One page, asked for once: it only helps to word an error.
constexpr int kNamesPageSize = 1000;
constexpr char kTellingHealth[] = "tell the health";
constexpr absl::Duration kNamesTimeout = absl::Seconds(5);
constexpr absl::Duration kWaitTimeout = absl::Minutes(5);

// That the service knows nothing of what was asked for, and what may have been meant.
std::string Unknown(client::Connection& connection, const HealthFlags& flags) {
  std::vector<std::string> names;
  if (!flags.project.empty()) {
    v1::ListStageHealthRequest request;
    request.set_page_size(kNamesPageSize);
    const absl::StatusOr<v1::ListStageHealthResponse> stages =
        connection.ListStageHealth(request, kNamesTimeout);
    if (stages.ok()) {
      for (const v1::StageHealth& health : stages->stages()) {
        names.push_back(absl::StrCat(health.project(), "/", health.stage()));
      }
    }
  }
  return flags.stage.empty() ? RenderNoStages(flags, names)
                             : RenderUnknownStage(flags.project, flags.stage, names);
}

absl::StatusOr<std::string> RenderOne(const v1::GetStageHealthResponse& response,
                                      OutputFormat format, const Look& look) {
  switch (format) {
    case OutputFormat::kJson:
      return RenderJson(response);
    case OutputFormat::kYaml:
      return RenderYaml(response);
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      break;
  }
  return RenderStage(response.health(), look);
}

absl::StatusOr<std::string> RenderSeveral(const v1::ListStageHealthResponse& response,
                                          OutputFormat format, const Look& look) {
  switch (format) {
    case OutputFormat::kJson:
      return RenderStagesJson(response);
    case OutputFormat::kYaml:
      return RenderStagesYaml(response);
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      break;
  }
  return response.stages().empty() ? "" : RenderStages(response, look);
}

int Ask(const HealthFlags& flags, const World& world) {
  std::shared_ptr<client::Connection> connection = ConnectOrTell(flags, world);
  if (connection == nullptr) return kExitUsage;
  const Look look = LookOf(flags.output, world);
  client::Timing& timing = TimingOf(world);
  const absl::Duration start = timing.Now();
  const std::unique_ptr<Progress> progress = MakePlainProgress(world.write_err);
  client::CallOptions options;
  if (flags.timeout) options.timeout = *flags.timeout;
  options.timing = &timing;
  options.on_failed_attempt = [&](const client::FailedAttempt& failed) {
    progress->Show(failed.elapsed, WaitingLine(failed, flags.server));
  };
  const auto failure = [&](const absl::Status& error) -> int {
    connection = nullptr;
    Tell(world,
         absl::StrCat(RenderCallFailure(error, flags.server, timing.Now() - start, kTellingHealth),
                      Advice(error, flags, world)));
    return ExitCodeForError(error);
  };
  if (world.on_asking) world.on_asking();

  if (!flags.stage.empty()) {
    v1::GetStageHealthRequest request;
    request.set_project(flags.project);
    request.set_stage(flags.stage);
    const absl::StatusOr<v1::GetStageHealthResponse> response =
        client::Client(connection).GetStageHealth(request, options);
    if (absl::IsNotFound(response.status())) {
      Tell(world, Unknown(*connection, flags));
      return kExitFailed;
    }
    if (!response.ok()) return failure(response.status());
    if (response->stale()) Tell(world, RenderStale(response->observed_time()));
    return Print(RenderOne(*response, flags.output, look), world) ? kExitSucceeded : kExitFailed;
  }

  v1::ListStageHealthRequest request;
  request.set_project(flags.project);
  const absl::StatusOr<v1::ListStageHealthResponse> response =
      client::Client(connection).ListStageHealth(request, options);
  if (!response.ok()) return failure(response.status());
  if (response->stale()) Tell(world, RenderStale(response->observed_time()));
  if (response->stages().empty()) Tell(world, Unknown(*connection, flags));
  return Print(RenderSeveral(*response, flags.output, look), world) ? kExitSucceeded : kExitFailed;
}

int Watch(const HealthFlags& flags, const World& world) {
  v1::WatchStageHealthRequest request;
  request.set_project(flags.project);
  request.set_stage(flags.stage);
  client::Timing& timing = TimingOf(world);
  const absl::Duration start = timing.Now();
  const bool waits = flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED;
  client::HealthWatchOptions options;
  if (waits) options.timeout = kWaitTimeout;
  if (flags.timeout) options.timeout = *flags.timeout;
  options.timing = &timing;
  std::shared_ptr<client::Connection> connection = ConnectOrTell(flags, world);
  if (connection == nullptr) return kExitUsage;
  auto watch = std::make_shared<client::HealthWatch>(connection, request, options);
  // Shared, since a signal may come when the watch is over.
  const auto interrupted = std::make_shared<std::atomic<bool>>(false);
  if (world.on_watching) {
    world.on_watching([weak = std::weak_ptr<client::HealthWatch>(watch), interrupted] {
      *interrupted = true;
      if (const auto watched = weak.lock()) watched->Stop();
    });
  }

  WatchPrinter printer(flags.output, LookOf(flags.output, world));
  const std::unique_ptr<Progress> progress = MakePlainProgress(world.write_err);
  bool synced = false;
  bool broken = false;
  bool any = false;
  bool printed = true;
  std::optional<v1::HealthState> last;  // of the Stage that is waited for
  const auto reached = [&] { return last == flags.wait_for; };
  const absl::Status end = watch->Run(
      [&](const v1::WatchStageHealthResponse& event) {
        any = any || event.has_updated();
        if (event.has_synced()) {
          if (!synced && !any) Tell(world, Unknown(*connection, flags));
          if (broken) progress->Show(timing.Now() - start, "watching again");
          synced = true;
          broken = false;
        }
        printed = Print(printer.Print(event), world);
        if (event.has_updated()) last = event.updated().state();
        if (event.has_deleted()) last = std::nullopt;
        // What came before is not all there is yet.
        if (!printed || (waits && reached() && synced)) watch->Stop();
      },
      [&](const client::FailedAttempt& failed) {
        broken = true;
        progress->Show(failed.elapsed, synced ? absl::StrCat("the watch broke, connecting again: ",
                                                             ErrorLine(failed.error))
                                              : WaitingLine(failed, flags.server));
      });
  if (!printed) return kExitFailed;
  if (!end.ok()) {
    watch = nullptr;
    connection = nullptr;
    Tell(world, absl::StrCat(RenderCallFailure(end, flags.server, timing.Now() - start,
                                               kTellingHealth, synced),
                             Advice(end, flags, world)));
  }
  if (waits && end.ok() && !reached()) {
    if (*interrupted) return kExitInterrupted;
    Tell(world, RenderNotReached(flags, last, timing.Now() - start));
    return kExitStillRunning;
  }
  return ExitCodeForError(end);
}

}  // namespace

int Health(const HealthFlags& flags, const World& world) {
  const bool watches = flags.watch || flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED;
  return watches ? Watch(flags, world) : Ask(flags, world);
}

}  // namespace gantry::gantryctl
