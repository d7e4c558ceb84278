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

// Follows Stages and prints what it hears until the watch ends. Lives for one watch, on one thread.
class WatchedHealth {
 public:
  WatchedHealth(const HealthFlags& flags, const World& world)
      : flags_(flags),
        world_(world),
        waits_(flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED),
        timing_(TimingOf(world)),
        start_(timing_.Now()),
        printer_(flags.output, LookOf(flags.output, world)),
        progress_(MakePlainProgress(world.write_err)) {}

  int Run() {
    connection_ = ConnectOrTell(flags_, world_);
    if (connection_ == nullptr) return kExitUsage;
    watch_ = std::make_shared<client::HealthWatch>(connection_, Request(), Options());
    // Shared, since a signal may come when the watch is over.
    const auto interrupted = std::make_shared<std::atomic<bool>>(false);
    if (world_.on_watching) {
      world_.on_watching([weak = std::weak_ptr<client::HealthWatch>(watch_), interrupted] {
        *interrupted = true;
        if (const auto watched = weak.lock()) watched->Stop();
      });
    }
    const absl::Status end =
        watch_->Run([this](const v1::WatchStageHealthResponse& event) { Hear(event); },
                    [this](const client::FailedAttempt& failed) { HearFailure(failed); });
    return ExitCode(end, *interrupted);
  }

 private:
  v1::WatchStageHealthRequest Request() const {
    v1::WatchStageHealthRequest request;
    request.set_project(flags_.project);
    request.set_stage(flags_.stage);
    return request;
  }

  client::HealthWatchOptions Options() const {
    client::HealthWatchOptions options;
    if (waits_) options.timeout = kWaitTimeout;
    if (flags_.timeout) options.timeout = *flags_.timeout;
    options.timing = &timing_;
    return options;
  }

  void Hear(const v1::WatchStageHealthResponse& event) {
    any_ = any_ || event.has_updated();
    if (event.has_synced()) {
      if (!synced_ && !any_) Tell(world_, Unknown(*connection_, flags_));
      if (broken_) progress_->Show(timing_.Now() - start_, "watching again");
      synced_ = true;
      broken_ = false;
    }
    printed_ = Print(printer_.Print(event), world_);
    if (event.has_updated()) last_ = event.updated().state();
    if (event.has_deleted()) last_ = std::nullopt;
    // What came before is not all there is yet.
    if (!printed_ || (waits_ && IsReached() && synced_)) watch_->Stop();
  }

  void HearFailure(const client::FailedAttempt& failed) {
    broken_ = true;
    progress_->Show(failed.elapsed, synced_ ? absl::StrCat("the watch broke, connecting again: ",
                                                           ErrorLine(failed.error))
                                            : WaitingLine(failed, flags_.server));
  }

  bool IsReached() const { return last_ == flags_.wait_for; }

  int ExitCode(const absl::Status& end, bool interrupted) {
    if (!printed_) return kExitFailed;
    if (!end.ok()) {
      watch_ = nullptr;
      connection_ = nullptr;
      Tell(world_, absl::StrCat(RenderCallFailure(end, flags_.server, timing_.Now() - start_,
                                                  kTellingHealth, synced_),
                                Advice(end, flags_, world_)));
    }
    if (waits_ && end.ok() && !IsReached()) {
      if (interrupted) return kExitInterrupted;
      Tell(world_, RenderNotReached(flags_, last_, timing_.Now() - start_));
      return kExitStillRunning;
    }
    return ExitCodeForError(end);
  }

  const HealthFlags& flags_;
  const World& world_;
  const bool waits_;
  client::Timing& timing_;
  const absl::Duration start_;
  WatchPrinter printer_;
  const std::unique_ptr<Progress> progress_;
  std::shared_ptr<client::Connection> connection_;
  std::shared_ptr<client::HealthWatch> watch_;
  bool synced_ = false;
  bool broken_ = false;
  bool any_ = false;
  bool printed_ = true;
  std::optional<v1::HealthState> last_;  // of the Stage that is waited for
};

}  // namespace

int Health(const HealthFlags& flags, const World& world) {
  const bool watches = flags.watch || flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED;
  return watches ? WatchedHealth(flags, world).Run() : Ask(flags, world);
}

}  // namespace gantry::gantryctl
