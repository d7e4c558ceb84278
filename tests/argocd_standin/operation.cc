// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/operation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "base/text.h"
#include "tests/argocd_standin/argo_types.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/operation_state.h"
#include "tests/argocd_standin/sources.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr std::string_view kSyncedMessage = "successfully synced (all tasks run)";
// Of a retry policy that says nothing else.
constexpr absl::Duration kRetryDuration = absl::Seconds(5);
constexpr absl::Duration kMaxRetryDuration = absl::Minutes(3);
constexpr int kRetryFactor = 2;

// Decides the next step of one operation.
class OperationStep {
 public:
  OperationStep(const ApplicationView& view, Step& step) : view_(view), step_(step) {}

  void Work() {
    const json& operation = At(view_.app, {"operation"});
    // Argo CD cannot store a state before there is a status; the first comparison makes it.
    if (!operation.is_object() || !At(view_.app, {"status"}).is_object()) return;
    if (!view_.InProgress()) {
      step_.memory.attempt_began.reset();
      return WriteState(NewOperationState(operation, view_.now), "took up an operation");
    }
    // As in Argo CD, an operation that was written over one that is in progress is not seen.
    const bool terminating = TextAt(view_.state, {"phase"}) == kTerminating;
    if (view_.AwaitsRetry()) return TryAgain();
    json state = WrittenOperationState(view_.state);
    if (!state["operation"].contains("sync")) {
      return Fail(kError, "Invalid operation request: no operation specified", state);
    }
    if (!state.contains("syncResult")) {
      state["syncResult"] = NewSyncResult(view_.spec, state["operation"]);
    }
    if (view_.orders.sync_window && !terminating) {
      state["message"] = "Sync operation blocked by sync window";
      return WriteState(state, "left an operation blocked by a sync window");
    }
    // Argo CD compares before it syncs, and each time that it looks at a sync in progress.
    std::string problem;
    if (view_.orders.condition == "ComparisonError") {
      problem = view_.orders.condition_message;
    } else {
      problem = ResolveRevisions(state);
    }
    if (!problem.empty()) return Fail(kError, base::StrCat("ComparisonError: ", problem), state);
    if (view_.orders.condition == "InvalidSpecError") {
      return Fail(kError, base::StrCat("InvalidSpecError: ", view_.orders.condition_message),
                  state);
    }
    if (terminating) return Terminate(state);
    Sync(state);
  }

  void CountAsDeployed() {
    const absl::Time ended =
        view_.now - std::max(view_.settings.refresh_delay, view_.settings.health_duration) -
        absl::Seconds(1);
    Revisions target = SourcesWithoutRevisions(view_.spec);
    Resolve(view_.orders, target);
    json state = NewOperationState(AutomatedOperation(view_.spec, target, 0, {}), ended);
    state["syncResult"] = NewSyncResult(view_.spec, state["operation"]);
    AddResources(json::array({kDeployment.kind, kService.kind}), true, state);
    state["phase"] = kSucceeded;
    state["message"] = kSyncedMessage;
    state["finishedAt"] = base::UtcTime(ended);
    step_.MergePatch({{"status",
                       {{"history", HistoryWith(view_.app, state, ended)},
                        {"operationState", WrittenOperationState(state)}}}});
    step_.what = "counted the Application as deployed";
  }

 private:
  // Adds what becomes of the resources of these kinds to the syncResult of an operation's state:
  // all are applied, but for the last one unless all is well.
  void AddResources(const json& kinds, bool well, json& state) const {
    const json operation = At(state, {"operation"});
    const bool dry_run = TrueAt(operation, {"sync", "dryRun"});
    const json deployed = DeployedBy(state);
    json& result = state["syncResult"];
    const json before = At(result, {"resources"});
    json resources = json::array();
    if (IsFilledArray(before)) {
      // A hook is completed by now.
      for (json entry : before) {
        if (!entry.contains("hookType")) continue;
        entry["hookPhase"] = kSucceeded;
        resources.push_back(std::move(entry));
      }
    }
    const std::vector<Resource> covered = view_.Covered(operation);
    for (const Resource& resource : covered) {
      if (std::find(kinds.begin(), kinds.end(), resource.kind) == kinds.end()) continue;
      const bool last = resource.kind == covered.back().kind;
      json entry = view_.Describe(resource);
      entry["syncPhase"] = "Sync";
      if (last && !well) {
        entry["status"] = "SyncFailed";
        entry["hookPhase"] = kFailed;
        entry["message"] = FailReason();
      } else {
        entry["status"] = "Synced";
        entry["hookPhase"] = dry_run || (!last && kinds.size() > 1) ? kSucceeded : kRunning;
        entry["message"] = AppliedMessage(resource, before, deployed, dry_run);
      }
      if (resource.kind == kDeployment.kind) entry["images"] = json::array({view_.Image(deployed)});
      resources.push_back(std::move(entry));
    }
    result["resources"] = std::move(resources);
    const json& metadata = At(view_.spec, {"syncPolicy", "managedNamespaceMetadata"});
    result.erase("managedNamespaceMetadata");
    if (metadata.is_object()) result["managedNamespaceMetadata"] = metadata;
  }

  std::string AppliedMessage(const Resource& resource, const json& before, const json& deployed,
                             bool dry_run) const {
    if (before.is_array()) {
      for (const json& entry : before) {
        if (TextAt(entry, {"kind"}) == resource.kind) return TextAt(entry, {"message"});
      }
    }
    const std::string kind(resource.kind);
    const json& live = At(view_.applied, {kind.c_str()});
    return base::StrCat(absl::AsciiStrToLower(kind), resource.group.empty() ? "" : ".",
                        std::string(resource.group), "/", view_.Name(),
                        live.is_null()     ? " created"
                        : live == deployed ? " unchanged"
                                           : " configured",
                        dry_run ? " (dry run)" : "");
  }

  std::string FailReason() const {
    return view_.orders.fail && !view_.orders.fail->empty() ? *view_.orders.fail
                                                            : "the object was refused";
  }

  // Replaces the state as a whole, if it is another now; whatever somebody else wrote into it since
  // it was read is lost.
  void WriteState(const json& state, std::string what) {
    json written = WrittenOperationState(state);
    if (view_.state.is_object() && written == WrittenOperationState(view_.state)) return;
    step_.on_live_read = true;
    step_.what = std::move(what);
    step_.JsonPatch(json::array(
        {{{"op", "add"}, {"path", "/status/operationState"}, {"value", std::move(written)}}}));
  }

  std::string ResolveRevisions(json& state) const {
    json& result = state["syncResult"];
    Revisions of = RevisionsOf(result);
    const bool local = IsFilledArray(At(state, {"operation", "sync", "manifests"}));
    if (!local) {
      std::string problem = Resolve(view_.orders, of);
      if (!problem.empty()) return problem;
    }
    result["revision"] = of.several ? "" : of.revisions.front();
    result.erase("revisions");
    // Of manifests that came with the operation no source has a revision.
    if (of.several && !local) result["revisions"] = of.revisions;
    return "";
  }

  void Sync(json& state) {
    const json& operation = state["operation"];
    const std::vector<Resource> covered = view_.Covered(operation);
    if (covered.empty()) {
      return End(kSucceeded, "successfully synced (no more tasks)", state);
    }
    const bool whole = !IsFilledArray(At(operation, {"sync", "resources"}));
    const bool hook = view_.orders.hang == Hang::kHook && whole;
    if (TrueAt(operation, {"sync", "dryRun"})) return DryRun(covered, state);
    const bool begun = IsFilledArray(At(state, {"syncResult", "resources"}));
    if (!begun && !view_.memory.attempt_began) step_.memory.attempt_began = view_.now;
    // Of one wave without hooks nothing is written before it is through.
    if (!begun && (hook || covered.size() > 1)) return Begin(hook, covered.front(), state);
    if (view_.orders.hang != Hang::kNot) return;

    const absl::Time began =
        step_.memory.attempt_began.value_or(TimeAt(view_.state, {"startedAt"}).value_or(view_.now));
    const absl::Time due =
        began + view_.orders.sync_duration.value_or(view_.settings.sync_duration);
    if (view_.now < due) return step_.LookAgainAfter(due - view_.now);
    if (view_.orders.error) {
      return Fail(kError, view_.orders.error->empty() ? "ComparisonError" : *view_.orders.error,
                  state);
    }
    json kinds = json::array();
    for (const Resource& resource : covered) kinds.push_back(resource.kind);
    AddResources(kinds, !view_.orders.fail, state);
    if (view_.orders.fail) {
      return Fail(kFailed,
                  base::StrCat("one or more objects failed to apply, reason: ", FailReason()),
                  state);
    }
    End(kSucceeded, std::string(kSyncedMessage), state);
  }

  // All is over once everything was validated.
  void DryRun(const std::vector<Resource>& covered, json& state) {
    if (!view_.memory.attempt_began) step_.memory.attempt_began = view_.now;
    const absl::Time due = *step_.memory.attempt_began +
                           view_.orders.sync_duration.value_or(view_.settings.sync_duration);
    if (view_.now < due) return step_.LookAgainAfter(due - view_.now);
    json kinds = json::array();
    for (const Resource& resource : covered) kinds.push_back(resource.kind);
    AddResources(kinds, !view_.orders.fail, state);
    if (view_.orders.fail)
      return Fail(kFailed, "one or more objects failed to apply (dry run)", state);
    End(kSucceeded, "successfully synced (no more tasks)", state);
  }

  void Begin(bool hook, const Resource& first, json& state) {
    if (hook) {
      json job = view_.Describe(kHookJob);
      job["name"] = view_.Name() + "-presync";
      job["hookType"] = job["syncPhase"] = "PreSync";
      job["hookPhase"] = kRunning;
      job["status"] = "Synced";
      job["images"] = json::array({"registry.example.com/hook:1"});
      job["message"] = base::StrCat("job.batch/", view_.Name(), "-presync created");
      state["syncResult"]["resources"] = json::array({job});
      state["message"] =
          base::StrCat("waiting for completion of hook batch/Job/", view_.Name(), "-presync");
    } else {
      AddResources(json::array({first.kind}), true, state);
      state["message"] = base::StrCat("waiting for healthy state of ", std::string(first.group),
                                      "/", std::string(first.kind), "/", view_.Name());
    }
    WriteState(state, "began to sync");
  }

  void Terminate(json& state) {
    json& resources = state["syncResult"]["resources"];
    if (resources.is_array()) {
      for (json& resource : resources) {
        if (!resource.contains("hookType") || resource.value("hookPhase", "") != kRunning) continue;
        resource["hookPhase"] = kFailed;
        resource["message"] = "Terminated";
      }
    }
    Fail(kFailed, "Operation terminated", state);
  }

  // The attempt came to nothing: another follows, or the operation ends.
  void Fail(std::string_view phase, const std::string& message, json& state) {
    const int limit = NumberAt(state, {"operation", "retry", "limit"}, 0);
    const int retries = NumberAt(state, {"retryCount"}, 0);
    const bool terminating = TextAt(view_.state, {"phase"}) == kTerminating;
    if (terminating || (retries >= limit && limit >= 0)) {
      return End(phase,
                 retries > 0 ? base::StrCat(message, " (retried ", retries, " times).") : message,
                 state);
    }
    const absl::StatusOr<absl::Duration> delay = RetryDelay(state, retries);
    if (!delay.ok()) {
      return End(
          kError,
          base::StrCat(message, " (failed to retry: ", base::ToStd(delay.status().message()), ")"),
          state);
    }
    state["phase"] = kRunning;
    state["finishedAt"] = base::UtcTime(view_.now);
    state["retryCount"] = retries + 1;
    state["message"] = base::StrCat(message, ". Retrying attempt #", retries + 1, " at ",
                                    base::UtcTime(view_.now + *delay), ".");
    step_.memory.ended = view_.now;
    step_.memory.attempt_began.reset();
    RememberApplied(state);
    WriteState(state, "failed an attempt that is tried again");
  }

  // The delay after an attempt is announced with the number of retries before it, and kept with
  // that after it, as Argo CD does: the first retry comes after twice the time that is announced.
  void TryAgain() {
    const absl::StatusOr<absl::Duration> delay =
        RetryDelay(view_.state, NumberAt(view_.state, {"retryCount"}, 0));
    json state = WrittenOperationState(view_.state);
    if (!delay.ok()) return End(kError, std::string(delay.status().message()), state);
    const absl::Time retry_at = *view_.EndedAt() + *delay;
    if (view_.now < retry_at) return step_.LookAgainAfter(retry_at - view_.now);
    std::string latest;
    if (TrueAt(state, {"operation", "retry", "refresh"}) && state["operation"].contains("sync")) {
      state["operation"]["sync"].erase("revision");
      state["operation"]["sync"].erase("revisions");
      latest = " with latest revisions";
    }
    state["message"] = base::StrCat("Retrying operation", latest, ". Attempt #",
                                    NumberAt(view_.state, {"retryCount"}, 0));
    state.erase("finishedAt");
    state.erase("syncResult");
    step_.memory.attempt_began.reset();
    WriteState(state, "began another attempt");
  }

  static absl::StatusOr<absl::Duration> RetryDelay(const json& state, int retries) {
    const json& backoff = At(state, {"operation", "retry", "backoff"});
    std::array<absl::Duration, 2> times = {kRetryDuration, kMaxRetryDuration};
    for (std::size_t i = 0; i < times.size(); ++i) {
      const std::string text = TextAt(backoff, {i == 0 ? "duration" : "maxDuration"});
      if (text.empty()) continue;
      std::int64_t seconds = 0;
      if (absl::SimpleAtoi(text, &seconds)) {
        times[i] = absl::Seconds(seconds);
      } else if (!absl::ParseDuration(text, &times[i])) {
        return absl::InvalidArgumentError(base::StrCat("unable to parse ", text, " as a duration"));
      }
    }
    const absl::Duration wait =
        times[0] * std::pow(NumberAt(backoff, {"factor"}, kRetryFactor), std::max(retries, 0));
    return times[1] > absl::ZeroDuration() ? std::min(wait, times[1]) : wait;
  }

  // Also of a state whose syncResult gets lost.
  void RememberApplied(const json& state) {
    if (TrueAt(state, {"operation", "sync", "dryRun"})) return;
    const json& resources = At(state, {"syncResult", "resources"});
    if (!resources.is_array()) return;
    const json deployed = DeployedBy(state);
    for (const json& resource : resources) {
      if (resource.contains("hookType") || TextAt(resource, {"status"}) != "Synced") continue;
      const std::string kind = TextAt(resource, {"kind"});
      step_.memory.applied[kind] = deployed;
      if (kind == kDeployment.kind && view_.orders.drift) {
        step_.memory.healed_drift = *view_.orders.drift;
      }
    }
  }

  // The history comes first; then one write completes the state and clears the request.
  void End(std::string_view phase, const std::string& message, json& state) {
    state["phase"] = phase;
    state["message"] = message;
    state["finishedAt"] = base::UtcTime(view_.now);
    const json& operation = state["operation"];
    if (phase == kSucceeded && IsWholeSync(operation)) {
      step_.MergePatch({{"status", {{"history", HistoryWith(view_.app, state, view_.now)}}}});
    }
    RememberApplied(state);
    if (view_.orders.lose_sync_result) state.erase("syncResult");
    // Argo CD writes a null, of which its definition of Applications lets nothing be stored.
    step_.JsonPatch(json::array({{{"op", "add"},
                                  {"path", "/status/operationState"},
                                  {"value", WrittenOperationState(state)}},
                                 {{"op", "add"}, {"path", "/operation"}, {"value", nullptr}},
                                 {{"op", "remove"}, {"path", "/operation"}}}));
    step_.on_live_read = true;
    step_.what = base::StrCat("ended an operation as ", std::string(phase));
    step_.memory.ended = view_.now;
    step_.memory.attempt_began.reset();
    if (operation.contains("sync") && !TrueAt(operation, {"sync", "dryRun"})) {
      step_.memory.refresh_at = view_.now + view_.settings.refresh_delay;
    }
  }

  const ApplicationView& view_;
  Step& step_;
};

}  // namespace

void WorkOnOperation(const ApplicationView& view, Step& step) { OperationStep(view, step).Work(); }

void CountAsDeployed(const ApplicationView& view, Step& step) {
  OperationStep(view, step).CountAsDeployed();
}

}  // namespace gantry::argocd_standin
