// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/argocd/annotations.h"
#include "server/base/strings.h"
#include "tests/argocd_standin/argo_types.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/operation_state.h"
#include "tests/argocd_standin/orders.h"
#include "tests/argocd_standin/revision.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr std::string_view kSyncedMessage = "successfully synced (all tasks run)";
constexpr char kRefreshTimestampAnnotation[] = "argocd.argoproj.io/refresh-timestamp";
constexpr char kControllerNamespace[] = "argocd";

// Numbers in Applications are counts, and small.
constexpr std::int64_t kMaxNumber = 1'000'000;
// Of a retry policy that says nothing else.
constexpr absl::Duration kRetryDuration = absl::Seconds(5);
constexpr absl::Duration kMaxRetryDuration = absl::Minutes(3);
constexpr int kRetryFactor = 2;
constexpr int kAutomatedRetries = 5;
// Between automated syncs that heal the same revision; the first is at once.
constexpr absl::Duration kHealDelay = absl::Seconds(2);
constexpr absl::Duration kMaxHealDelay = absl::Minutes(5);
constexpr double kHealFactor = 3;

std::optional<absl::Time> TimeAt(const json& value, std::initializer_list<const char*> path) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, TextAt(value, path), &time, nullptr)) {
    return std::nullopt;
  }
  return time;
}

int NumberAt(const json& value, std::initializer_list<const char*> path, int otherwise) {
  const json& found = At(value, path);
  if (!found.is_number_integer()) return otherwise;
  return static_cast<int>(
      std::clamp<std::int64_t>(found.get<std::int64_t>(), -kMaxNumber, kMaxNumber));
}

bool IsFilledArray(const json& value) { return value.is_array() && !value.empty(); }

// A merge patch cannot store a null in an object.
json WithoutNulls(const json& value) {
  if (!value.is_object()) return value;
  json stored = json::object();
  for (const auto& [key, member] : value.items()) {
    if (!member.is_null()) stored[key] = WithoutNulls(member);
  }
  return stored;
}

bool SameSource(const json& a, const json& b) {
  return WithoutNulls(WrittenSource(a)) == WithoutNulls(WrittenSource(b));
}

// What Go makes of it as a boolean.
bool IsTrue(const std::string& text) {
  static constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  return std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end();
}

std::string PointerTo(std::string_view annotation) {
  return base::StrCat("/metadata/annotations/",
                      absl::StrReplaceAll(base::ToAbsl(annotation), {{"~", "~0"}, {"/", "~1"}}));
}

// A branch or a tag, no commit.
bool IsNameInGit(const json& source) {
  return !source.contains("chart") && !absl::StartsWith(TextAt(source, {"repoURL"}), "oci://") &&
         !IsCommit(TextAt(source, {"targetRevision"}));
}

// Sources with their revisions, as a syncResult or a history entry has them.
struct Revisions {
  bool several = false;  // the Application has `sources`
  std::vector<json> sources;
  std::vector<std::string> revisions;
};

Revisions FromJson(const json& object) {
  Revisions of;
  const json& sources = At(object, {"sources"});
  of.several = IsFilledArray(sources);
  if (!of.several) {
    of.sources = {WrittenSource(At(object, {"source"}))};
    of.revisions = {TextAt(object, {"revision"})};
    return of;
  }
  for (const json& source : sources) of.sources.push_back(WrittenSource(source));
  const json& revisions = At(object, {"revisions"});
  if (revisions.is_array()) {
    for (const json& revision : revisions) {
      of.revisions.push_back(revision.is_string() ? revision.get<std::string>() : "");
    }
  }
  return of;
}

// Looks the revisions up: those that are given, or the sources' own. Returns why one cannot be,
// in Argo CD's words; empty when all can.
std::string Resolve(const Orders& orders, Revisions& of) {
  if (of.revisions.size() != of.sources.size()) of.revisions.assign(of.sources.size(), "");
  for (std::size_t i = 0; i < of.sources.size(); ++i) {
    json source = of.sources[i];
    if (!of.revisions[i].empty()) source["targetRevision"] = of.revisions[i];
    const std::string name = TextAt(source, {"targetRevision"});
    std::string named = orders.revision;
    if (!orders.revisions.empty() && IsNameInGit(source)) {
      const auto found = orders.revisions.find(name.empty() ? "HEAD" : name);
      if (found == orders.revisions.end()) {
        return base::StrCat("Failed to load target state: failed to generate manifest for source ",
                            i + 1, " of ", of.sources.size(),
                            ": rpc error: code = Unknown desc = unable to resolve '", name,
                            "' to a commit SHA: revision not found");
      }
      named = found->second;
    }
    of.revisions[i] = ResolveRevision(source, named);
  }
  return "";
}

// What is deployed of them: the same whatever branch or tag it was called by.
json Deploys(const Revisions& of) {
  json sources = json::array();
  for (const json& source : of.sources) {
    sources.push_back(WithoutNulls(source));
    sources.back().erase("targetRevision");
  }
  return {{"sources", std::move(sources)}, {"revisions", of.revisions}};
}

std::string SourceType(const json& source) {
  if (source.contains("chart") || source.contains("helm")) return "Helm";
  if (source.contains("kustomize")) return "Kustomize";
  if (source.contains("plugin")) return "Plugin";
  return source.contains("ref") && !source.contains("path") ? "" : "Directory";
}

// What a small Application consists of, in the order of their sync waves.
struct Resource {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  int wave = 0;
};
constexpr Resource kDeployment = {"apps", "v1", "Deployment", 0};
constexpr Resource kService = {"", "v1", "Service", 1};
constexpr Resource kHookJob = {"batch", "v1", "Job", 0};

// Decides one step for one Application, as a view on what was given.
class Reconciler {
 public:
  Reconciler(const json& application, const Memory& memory, absl::Time now,
             const Settings& settings)
      : app_(application),
        spec_(At(application, {"spec"})),
        state_(At(application, {"status", "operationState"})),
        memory_(memory),
        now_(now),
        settings_(settings),
        orders_(OrdersOf(application)),
        applied_(Applied()) {}

  Step Next() {
    step_.memory = memory_;
    const json& status = At(app_, {"status"});
    if (!app_.is_object() || !(status.is_object() || status.is_null())) return step_;
    step_.memory.applied = applied_;
    if (!At(app_, {"metadata", "deletionTimestamp"}).is_null()) {
      // An operation that was asked for comes first.
      if (At(app_, {"operation"}).is_object()) {
        Operate();
      } else {
        ReleaseDeleted();
      }
      return step_;
    }
    if (IsTrue(Annotation(argocd::kSkipReconcileAnnotation))) {
      // What is in progress goes on all the same, and is followed by its comparison.
      if (InProgress() && memory_.attempt_began) Operate();
      if (step_.writes.empty() && memory_.refresh_at) Compare();
      return step_;
    }
    if (orders_.deployed && IsNew()) {
      CountAsDeployed();
      return step_;
    }
    Operate();
    if (step_.writes.empty()) Compare();
    return step_;
  }

 private:
  std::string Annotation(std::string_view name) const {
    return TextAt(app_, {"metadata", "annotations", std::string(name).c_str()});
  }

  void MergePatch(json body) {
    step_.writes.push_back({Write::Kind::kMergePatch, std::move(body)});
  }
  void JsonPatch(json body) { step_.writes.push_back({Write::Kind::kJsonPatch, std::move(body)}); }

  void LookAgainAt(absl::Time time) {
    if (time == absl::InfiniteFuture()) return;
    step_.look_again = std::min(step_.look_again, std::max(time - now_, absl::ZeroDuration()));
  }

  // Nothing was deployed, so there is nothing to delete before the Application goes.
  void ReleaseDeleted() {
    const json& finalizers = At(app_, {"metadata", "finalizers"});
    if (!finalizers.is_array()) return;
    json rest = json::array();
    for (const json& finalizer : finalizers) {
      if (!finalizer.is_string() ||
          !absl::StrContains(finalizer.get<std::string>(), "argocd.argoproj.io")) {
        rest.push_back(finalizer);
      }
    }
    if (rest.size() == finalizers.size()) return;
    MergePatch({{"metadata", {{"finalizers", rest}}}});
    step_.what = "let the Application be deleted";
  }

  // Nobody has ever asked for an operation, and none is known.
  bool IsNew() const {
    return At(app_, {"operation"}).is_null() && state_.is_null() &&
           At(app_, {"status", "history"}).empty();
  }

  // As if an automated sync had ended long enough ago that nothing is left to come of it.
  void CountAsDeployed() {
    const absl::Time ended =
        now_ - std::max(settings_.refresh_delay, settings_.health_duration) - absl::Seconds(1);
    const Revisions target = Target();
    json state = NewOperationState(AutomatedOperation(target, 0, {}), ended);
    state["syncResult"] = NewSyncResult(spec_, state["operation"]);
    AddResources(json::array({kDeployment.kind, kService.kind}), true, state);
    state["phase"] = kSucceeded;
    state["message"] = kSyncedMessage;
    state["finishedAt"] = TimeText(ended);
    MergePatch({{"status",
                 {{"history", HistoryWith(app_, state, ended)},
                  {"operationState", WrittenOperationState(state)}}}});
    step_.what = "counted the Application as deployed";
  }

  // ---- The resources ----

  std::string Name() const {
    const std::string name = TextAt(app_, {"metadata", "name"});
    return name.empty() ? "web" : name;
  }
  std::string TargetNamespace() const { return TextAt(spec_, {"destination", "namespace"}); }

  json Describe(const Resource& resource) const {
    return {{"group", resource.group},
            {"version", resource.version},
            {"kind", resource.kind},
            {"namespace", TargetNamespace()},
            {"name", Name()}};
  }

  // Those of them, in order, that an operation deploys.
  std::vector<Resource> Covered(const json& operation) const {
    const json& chosen = At(operation, {"sync", "resources"});
    std::vector<Resource> covered;
    for (const Resource& resource : {kDeployment, kService}) {
      const auto is_chosen = [&](const json& entry) {
        const std::string ns = TextAt(entry, {"namespace"});
        return TextAt(entry, {"group"}) == resource.group &&
               TextAt(entry, {"kind"}) == resource.kind && TextAt(entry, {"name"}) == Name() &&
               (ns.empty() || ns == TargetNamespace());
      };
      if (!IsFilledArray(chosen) || std::any_of(chosen.begin(), chosen.end(), is_chosen)) {
        covered.push_back(resource);
      }
    }
    return covered;
  }

  // What an operation deploys, once its revisions are resolved.
  json DeployedBy(const json& state) const {
    json deployed = Deploys(FromJson(At(state, {"syncResult"})));
    const json& manifests = At(state, {"operation", "sync", "manifests"});
    if (IsFilledArray(manifests)) deployed["manifests"] = manifests;
    return deployed;
  }

  // What each resource in the cluster was applied from, by kind. After a start it is as the history
  // says; the present operation knows better.
  json Applied() const {
    json applied = memory_.applied;
    if (!applied.is_object() || applied.empty()) {
      applied = json::object();
      const json& history = At(app_, {"status", "history"});
      if (IsFilledArray(history)) {
        const json deployed = Deploys(FromJson(history.back()));
        for (const Resource& resource : {kDeployment, kService}) {
          applied[std::string(resource.kind)] = deployed;
        }
      }
    }
    const json& result = At(state_, {"syncResult"});
    const json& operation = At(state_, {"operation"});
    if (!result.is_object() || TrueAt(operation, {"sync", "dryRun"})) return applied;
    const json deployed = DeployedBy(state_);
    const json& resources = At(result, {"resources"});
    if (IsFilledArray(resources)) {
      for (const json& resource : resources) {
        const std::string kind = TextAt(resource, {"kind"});
        if (TextAt(resource, {"status"}) == "Synced" &&
            (kind == kDeployment.kind || kind == kService.kind)) {
          applied[kind] = deployed;
        }
      }
    } else if (TextAt(state_, {"phase"}) == kSucceeded) {
      for (const Resource& resource : Covered(operation)) {
        applied[std::string(resource.kind)] = deployed;
      }
    }
    return applied;
  }

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
    const std::vector<Resource> covered = Covered(operation);
    for (const Resource& resource : covered) {
      if (std::find(kinds.begin(), kinds.end(), resource.kind) == kinds.end()) continue;
      const bool last = resource.kind == covered.back().kind;
      json entry = Describe(resource);
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
      if (resource.kind == kDeployment.kind) entry["images"] = json::array({Image(deployed)});
      resources.push_back(std::move(entry));
    }
    result["resources"] = std::move(resources);
    const json& metadata = At(spec_, {"syncPolicy", "managedNamespaceMetadata"});
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
    const json& live = At(applied_, {kind.c_str()});
    return base::StrCat(absl::AsciiStrToLower(kind), resource.group.empty() ? "" : ".",
                        std::string(resource.group), "/", Name(),
                        live.is_null()     ? " created"
                        : live == deployed ? " unchanged"
                                           : " configured",
                        dry_run ? " (dry run)" : "");
  }

  std::string Image(const json& deployed) const {
    const json& revisions = At(deployed, {"revisions"});
    std::string tag = "none";
    if (IsFilledArray(revisions) && !revisions.front().get<std::string>().empty()) {
      tag = revisions.front().get<std::string>().substr(0, 7);
    }
    return base::StrCat("registry.example.com/", Name(), ":", tag);
  }

  std::string FailReason() const {
    return orders_.fail && !orders_.fail->empty() ? *orders_.fail : "the object was refused";
  }

  // ---- The operation ----

  bool InProgress() const { return state_.is_object() && !IsCompleted(TextAt(state_, {"phase"})); }
  bool AwaitsRetry() const {
    return TextAt(state_, {"phase"}) == kRunning && EndedAt().has_value();
  }
  // Then it cannot be synced either.
  bool CannotCompare() const {
    return orders_.condition == "ComparisonError" || orders_.condition == "InvalidSpecError";
  }

  // When the last attempt ended.
  std::optional<absl::Time> EndedAt() const {
    const auto written = TimeAt(state_, {"finishedAt"});
    if (written && memory_.ended && TimeText(*memory_.ended) == TimeText(*written)) {
      return memory_.ended;
    }
    return written;
  }

  // Replaces the state as a whole, if it is another now; whatever somebody else wrote into it since
  // it was read is lost.
  void WriteState(const json& state, std::string what) {
    json written = WrittenOperationState(state);
    if (state_.is_object() && written == WrittenOperationState(state_)) return;
    step_.on_live_read = true;
    step_.what = std::move(what);
    JsonPatch(json::array(
        {{{"op", "add"}, {"path", "/status/operationState"}, {"value", std::move(written)}}}));
  }

  void Operate() {
    const json& operation = At(app_, {"operation"});
    // Argo CD cannot store a state before there is a status; the first comparison makes it.
    if (!operation.is_object() || !At(app_, {"status"}).is_object()) return;
    if (!InProgress()) {
      step_.memory.attempt_began.reset();
      return WriteState(NewOperationState(operation, now_), "took up an operation");
    }
    // As in Argo CD, an operation that was written over one that is in progress is not seen.
    const bool terminating = TextAt(state_, {"phase"}) == kTerminating;
    if (AwaitsRetry()) return TryAgain();
    json state = WrittenOperationState(state_);
    if (!state["operation"].contains("sync")) {
      return Fail(kError, "Invalid operation request: no operation specified", state);
    }
    if (!state.contains("syncResult")) {
      state["syncResult"] = NewSyncResult(spec_, state["operation"]);
    }
    if (orders_.sync_window && !terminating) {
      state["message"] = "Sync operation blocked by sync window";
      return WriteState(state, "left an operation blocked by a sync window");
    }
    // Argo CD compares before it syncs, and each time that it looks at a sync in progress.
    std::string problem;
    if (CannotCompare()) {
      problem = base::StrCat(orders_.condition, ": ", orders_.condition_message);
    } else if (const std::string unresolved = ResolveRevisions(state); !unresolved.empty()) {
      problem = base::StrCat("ComparisonError: ", unresolved);
    }
    if (!problem.empty()) return Fail(kError, problem, state);
    if (terminating) return Terminate(state);
    Sync(state);
  }

  std::string ResolveRevisions(json& state) const {
    json& result = state["syncResult"];
    Revisions of = FromJson(result);
    const bool local = IsFilledArray(At(state, {"operation", "sync", "manifests"}));
    if (!local) {
      std::string problem = Resolve(orders_, of);
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
    const std::vector<Resource> covered = Covered(operation);
    if (covered.empty()) {
      return End(kSucceeded, "successfully synced (no more tasks)", state);
    }
    const bool whole = !IsFilledArray(At(operation, {"sync", "resources"}));
    const bool hook = orders_.hang == Hang::kHook && whole;
    if (TrueAt(operation, {"sync", "dryRun"})) return DryRun(covered, state);
    const bool begun = IsFilledArray(At(state, {"syncResult", "resources"}));
    if (!begun && !memory_.attempt_began) step_.memory.attempt_began = now_;
    // Of one wave without hooks nothing is written before it is through.
    if (!begun && (hook || covered.size() > 1)) return Begin(hook, covered.front(), state);
    if (orders_.hang != Hang::kNot) return;

    const absl::Time began =
        step_.memory.attempt_began.value_or(TimeAt(state_, {"startedAt"}).value_or(now_));
    const absl::Time due = began + orders_.sync_duration.value_or(settings_.sync_duration);
    if (now_ < due) return LookAgainAt(due);
    if (orders_.error) {
      return Fail(kError, orders_.error->empty() ? "ComparisonError" : *orders_.error, state);
    }
    json kinds = json::array();
    for (const Resource& resource : covered) kinds.push_back(resource.kind);
    AddResources(kinds, !orders_.fail, state);
    if (orders_.fail) {
      return Fail(
          kFailed,
          base::StrCat("one or more synchronization tasks completed unsuccessfully, reason: ",
                       FailReason()),
          state);
    }
    End(kSucceeded, std::string(kSyncedMessage), state);
  }

  // All is over once everything was validated.
  void DryRun(const std::vector<Resource>& covered, json& state) {
    if (!memory_.attempt_began) step_.memory.attempt_began = now_;
    const absl::Time due =
        *step_.memory.attempt_began + orders_.sync_duration.value_or(settings_.sync_duration);
    if (now_ < due) return LookAgainAt(due);
    json kinds = json::array();
    for (const Resource& resource : covered) kinds.push_back(resource.kind);
    AddResources(kinds, !orders_.fail, state);
    if (orders_.fail) return Fail(kFailed, "one or more objects failed to apply (dry run)", state);
    End(kSucceeded, "successfully synced (no more tasks)", state);
  }

  void Begin(bool hook, const Resource& first, json& state) {
    if (hook) {
      json job = Describe(kHookJob);
      job["name"] = Name() + "-presync";
      job["hookType"] = job["syncPhase"] = "PreSync";
      job["hookPhase"] = kRunning;
      job["status"] = "Synced";
      job["images"] = json::array({"registry.example.com/hook:1"});
      job["message"] = base::StrCat("job.batch/", Name(), "-presync created");
      state["syncResult"]["resources"] = json::array({job});
      state["message"] =
          base::StrCat("waiting for completion of hook batch/Job/", Name(), "-presync");
    } else {
      AddResources(json::array({first.kind}), true, state);
      state["message"] = base::StrCat("waiting for healthy state of ", std::string(first.group),
                                      "/", std::string(first.kind), "/", Name());
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
    const bool terminating = TextAt(state_, {"phase"}) == kTerminating;
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
    state["finishedAt"] = TimeText(now_);
    state["retryCount"] = retries + 1;
    state["message"] = base::StrCat(message, ". Retrying attempt #", retries + 1, " at ",
                                    TimeText(now_ + *delay), ".");
    step_.memory.ended = now_;
    step_.memory.attempt_began.reset();
    RememberApplied(state);
    WriteState(state, "failed an attempt that is tried again");
  }

  // The delay after an attempt is announced with the number of retries before it, and kept with
  // that after it, as Argo CD does: the first retry comes after twice the time that is announced.
  void TryAgain() {
    const absl::StatusOr<absl::Duration> delay =
        RetryDelay(state_, NumberAt(state_, {"retryCount"}, 0));
    json state = WrittenOperationState(state_);
    if (!delay.ok()) return End(kError, std::string(delay.status().message()), state);
    const absl::Time retry_at = *EndedAt() + *delay;
    if (now_ < retry_at) return LookAgainAt(retry_at);
    std::string latest;
    if (TrueAt(state, {"operation", "retry", "refresh"}) && state["operation"].contains("sync")) {
      state["operation"]["sync"].erase("revision");
      state["operation"]["sync"].erase("revisions");
      latest = " with latest revisions";
    }
    state["message"] = base::StrCat("Retrying operation", latest, ". Attempt #",
                                    NumberAt(state_, {"retryCount"}, 0));
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
      if (kind == kDeployment.kind && orders_.drift) {
        step_.memory.healed_drift = *orders_.drift;
      }
    }
  }

  // The history comes first; then one write completes the state and clears the request.
  void End(std::string_view phase, const std::string& message, json& state) {
    state["phase"] = phase;
    state["message"] = message;
    state["finishedAt"] = TimeText(now_);
    const json& operation = state["operation"];
    if (phase == kSucceeded && IsWholeSync(operation)) {
      MergePatch({{"status", {{"history", HistoryWith(app_, state, now_)}}}});
    }
    RememberApplied(state);
    if (orders_.lose_sync_result) state.erase("syncResult");
    // Argo CD writes a null, of which its definition of Applications lets nothing be stored.
    JsonPatch(json::array({{{"op", "add"},
                            {"path", "/status/operationState"},
                            {"value", WrittenOperationState(state)}},
                           {{"op", "add"}, {"path", "/operation"}, {"value", nullptr}},
                           {{"op", "remove"}, {"path", "/operation"}}}));
    step_.on_live_read = true;
    step_.what = base::StrCat("ended an operation as ", std::string(phase));
    step_.memory.ended = now_;
    step_.memory.attempt_began.reset();
    if (operation.contains("sync") && !TrueAt(operation, {"sync", "dryRun"})) {
      step_.memory.refresh_at = now_ + settings_.refresh_delay;
    }
  }

  // ---- The comparison ----

  // How much a comparison looks at: with `kRecent` at the cluster alone, for the revisions that
  // were compared last.
  enum class Level { kNone, kRecent, kLatest };

  // What of an Application's status a comparison decides.
  struct Comparison {
    json sync;
    std::vector<json> resources;
    std::string health;
    std::string health_message;
    json source_types = json::array();
    std::string problem;  // the message of a ComparisonError; empty: there is none
  };

  // What the Application asks for.
  Revisions Target() const {
    Revisions target;
    target.several = HasSeveralSources(spec_);
    target.sources = argocd_standin::SourcesOf(spec_);
    Resolve(orders_, target);
    return target;
  }

  bool Drifted() const {
    if (orders_.self_heal && TextAt(state_, {"phase"}) == kSucceeded && !LastWasAutomated() &&
        IsWholeSync(At(state_, {"operation"}))) {
      return true;
    }
    return orders_.drift && (*orders_.drift == "true" || *orders_.drift != memory_.healed_drift);
  }

  bool HasChangedNamespaceMetadata() const {
    const json& wanted = At(spec_, {"syncPolicy", "managedNamespaceMetadata"});
    const json& result = At(state_, {"syncResult"});
    return wanted.is_object() && result.is_object() &&
           At(result, {"managedNamespaceMetadata"}) != wanted;
  }

  std::string Health() const {
    if (!orders_.health.empty()) return orders_.health;
    if (orders_.degrade) return "Degraded";
    if (applied_.empty()) return "Missing";
    return now_ < ProgressesUntil() ? "Progressing" : "Healthy";
  }

  // The Deployment is rolled out during an operation and for a while after it.
  absl::Time ProgressesUntil() const {
    if (TrueAt(state_, {"operation", "sync", "dryRun"})) return absl::InfinitePast();
    const json& resources = At(state_, {"syncResult", "resources"});
    if (InProgress() && !AwaitsRetry() && resources.is_array()) {
      for (const json& resource : resources) {
        if (TextAt(resource, {"kind"}) == kDeployment.kind) return absl::InfiniteFuture();
      }
    }
    const auto ended = EndedAt();
    if (!ended || TextAt(state_, {"phase"}) != kSucceeded) return absl::InfinitePast();
    for (const Resource& resource : Covered(At(state_, {"operation"}))) {
      if (resource.kind == kDeployment.kind) return *ended + settings_.health_duration;
    }
    return absl::InfinitePast();
  }

  // The names of the Jobs that the last operation ran.
  json Hooks() const {
    json hooks = json::array();
    const json& results = At(state_, {"syncResult", "resources"});
    if (!results.is_array()) return hooks;
    for (const json& result : results) {
      if (!TextAt(result, {"hookType"}).empty()) hooks.push_back(TextAt(result, {"name"}));
    }
    return hooks;
  }

  // What a comparison would see of the cluster now.
  json Seen() const {
    return {{"applied", applied_},
            {"drifted", Drifted()},
            {"health", Health()},
            {"hooks", Hooks()},
            {"namespaceDiffers", HasChangedNamespaceMetadata()},
            {"ordered", OrderedConditions()}};
  }
  json OrderedConditions() const {
    if (orders_.condition.empty()) return json::array();
    return json::array({{{"type", orders_.condition}, {"message", orders_.condition_message}}});
  }
  // The conditions that are written, but for the one that an automated sync leaves.
  json StoredConditions() const {
    json stored = json::array();
    const json& conditions = At(app_, {"status", "conditions"});
    if (!conditions.is_array()) return stored;
    for (const json& condition : conditions) {
      const std::string type = TextAt(condition, {"type"});
      if (type == "SyncError") continue;
      stored.push_back({{"type", type}, {"message", TextAt(condition, {"message"})}});
    }
    return stored;
  }

  // Lists the resources with the state of each, and returns whether all are as they should be.
  bool CompareResources(const Revisions& target, bool local, bool failed,
                        std::vector<json>& resources) const {
    json deploys = Deploys(target);
    if (local) {
      deploys = Deploys(FromJson(At(state_, {"syncResult"})));
      deploys["manifests"] = At(state_, {"operation", "sync", "manifests"});
    }
    bool same = !HasChangedNamespaceMetadata();
    for (const Resource& resource : {kDeployment, kService}) {
      json entry = Describe(resource);
      const std::string kind(resource.kind);
      const json& live = At(applied_, {kind.c_str()});
      if (failed) {
        // All that is there looks superfluous.
        if (live.is_null()) continue;
        entry["status"] = "Unknown";
        entry["requiresPruning"] = true;
      } else {
        const bool drifted = resource.kind == kDeployment.kind && Drifted();
        const bool synced = !drifted && live == deploys;
        same = same && synced;
        entry["status"] = synced ? "Synced" : "OutOfSync";
        if (resource.wave != 0) entry["syncWave"] = resource.wave;
      }
      resources.push_back(std::move(entry));
    }
    for (const json& hook : Hooks()) {
      json entry = Describe(kHookJob);
      entry["name"] = hook;
      entry["hook"] = entry["requiresPruning"] = true;
      resources.push_back(std::move(entry));
    }
    const auto key = [](const json& entry) {
      return base::StrCat(TextAt(entry, {"group"}), "/", TextAt(entry, {"kind"}));
    };
    std::sort(resources.begin(), resources.end(),
              [&](const json& a, const json& b) { return key(a) < key(b); });
    return same;
  }

  Comparison CompareNow(Level level) const {
    Comparison found;
    if (orders_.condition == "ComparisonError") found.problem = orders_.condition_message;
    Revisions target;
    target.several = HasSeveralSources(spec_);
    target.sources = argocd_standin::SourcesOf(spec_);
    if (level == Level::kRecent) {
      target.revisions = FromJson({{"revision", At(app_, {"status", "sync", "revision"})},
                                   {"revisions", At(app_, {"status", "sync", "revisions"})},
                                   {"sources", target.several ? json(target.sources) : json()}})
                             .revisions;
    }
    const json& manifests = At(state_, {"operation", "sync", "manifests"});
    const bool local = IsFilledArray(manifests);
    Revisions resolved = target;
    if (!local && found.problem.empty()) found.problem = Resolve(orders_, resolved);
    const bool failed = !found.problem.empty();
    if (!local && !failed) {
      target = resolved;
    } else if (target.several) {
      target.revisions.clear();
    } else if (level != Level::kRecent) {
      // It stays as it was asked for.
      target.revisions = {TextAt(target.sources.front(), {"targetRevision"})};
    }
    const bool same = CompareResources(target, local, failed, found.resources);
    found.sync = {{"status", failed ? "Unknown"
                             : same ? "Synced"
                                    : "OutOfSync"},
                  {"comparedTo",
                   {{"destination", At(spec_, {"destination"})},
                    {"ignoreDifferences", At(spec_, {"ignoreDifferences"})}}}};
    if (target.several) {
      found.sync["comparedTo"]["sources"] = target.sources;
      found.sync["revisions"] = target.revisions;
    } else {
      found.sync["comparedTo"]["source"] = target.sources.front();
      found.sync["revision"] = target.revisions.front();
    }
    if (!failed && !local) {
      for (const json& source : target.sources) found.source_types.push_back(SourceType(source));
    }
    // When nothing is known of what is wanted, nothing is missed.
    if (failed && applied_.empty() && Health() == "Missing") {
      found.health = "Healthy";
      return found;
    }
    found.health = Health();
    if (found.health != "Healthy" && found.health != "Missing") {
      const std::string ns = TargetNamespace();
      found.health_message =
          base::StrCat("Caused by apps/Deployment:", ns, ns.empty() ? "" : "/", Name());
    }
    return found;
  }

  // Which comparison is due now. Looks again when the next one is.
  Level DueComparison() {
    Level level = Level::kNone;
    const auto ask = [&](Level asked, absl::Time at) {
      if (at > now_) return LookAgainAt(at);
      level = std::max(level, asked);
    };
    const auto ask_if = [&](bool needed) {
      if (needed) level = Level::kLatest;
    };
    const json& status = At(app_, {"status"});
    const json& compared_to = At(status, {"sync", "comparedTo"});
    // Any value asks for a refresh, also an empty one.
    const std::string refresh(argocd::kRefreshAnnotation);
    ask_if(!At(app_, {"metadata", "annotations", refresh.c_str()}).is_null());
    ask_if(!HasComparedSources(compared_to));
    const json written = WrittenStatus(
        {{"sync",
          {{"comparedTo",
            {{"destination", At(spec_, {"destination"})},
             {"ignoreDifferences", At(spec_, {"ignoreDifferences"})}}}}}})["sync"]["comparedTo"];
    const json stored = WrittenStatus(status)["sync"]["comparedTo"];
    for (const char* key : {"destination", "ignoreDifferences"}) {
      ask_if(At(written, {key}) != At(stored, {key}));
    }
    ask_if(HasChangedNamespaceMetadata() && !TrueAt(memory_.seen, {"namespaceDiffers"}));
    const auto [automated, heals] = Automation();
    if (memory_.automation) {
      ask_if((automated && !memory_.automation->first) || (heals && !memory_.automation->second));
    }
    // That something is wrong is told at once, whenever Argo CD would have found out.
    ask_if(OrderedConditions() !=
           (memory_.seen.is_null() ? StoredConditions() : At(memory_.seen, {"ordered"})));

    const auto reconciled = TimeAt(status, {"reconciledAt"});
    ask_if(!reconciled);
    if (reconciled && settings_.resync > absl::ZeroDuration()) {
      ask(Level::kLatest, *reconciled + settings_.resync);
    }
    std::optional<absl::Time> refresh_at = memory_.refresh_at;
    // Argo CD forgets that it is to compare after an operation when it is stopped just then; a
    // stand-in does not.
    const auto finished = TimeAt(state_, {"finishedAt"});
    if (memory_.seen.is_null() && reconciled && finished && *reconciled < *finished &&
        IsCompleted(TextAt(state_, {"phase"})) && At(state_, {"operation", "sync"}).is_object() &&
        !TrueAt(state_, {"operation", "sync", "dryRun"})) {
      refresh_at = *EndedAt() + settings_.refresh_delay;
    }
    if (refresh_at) ask(Level::kLatest, *refresh_at);

    const absl::Time cluster_is_seen = std::max(now_, refresh_at.value_or(now_));
    const absl::Time until = ProgressesUntil();
    if (Health() == "Progressing" && until != absl::InfiniteFuture()) {
      ask(Level::kRecent, std::max(until, cluster_is_seen));
    }
    const json seen = Seen();
    if (memory_.seen.is_null() ? !IsAsStored(CompareNow(Level::kRecent)) : seen != memory_.seen) {
      ask(Level::kRecent, cluster_is_seen);
    } else {
      step_.memory.seen = seen;
    }
    step_.memory.automation = {automated, heals};
    return level;
  }

  bool HasComparedSources(const json& compared_to) const {
    if (!HasSeveralSources(spec_)) {
      return SameSource(SourceOf(spec_), At(compared_to, {"source"}));
    }
    const std::vector<json> sources = argocd_standin::SourcesOf(spec_);
    const json& compared = At(compared_to, {"sources"});
    if (!compared.is_array()) return false;
    return std::equal(sources.begin(), sources.end(), compared.begin(), compared.end(), SameSource);
  }

  bool IsAsStored(const Comparison& found) const {
    return TextAt(found.sync, {"status"}) == TextAt(app_, {"status", "sync", "status"}) &&
           found.health == TextAt(app_, {"status", "health", "status"});
  }

  void Compare() {
    if (orders_.no_reconcile) return;
    const Level level = DueComparison();
    if (level == Level::kNone) return;

    step_.memory.seen = Seen();
    step_.memory.refresh_at.reset();
    const json before = WrittenStatus(At(app_, {"status"}));
    json status = before;
    json conditions = OrderedConditions();
    if (orders_.condition == "InvalidSpecError") {
      // What was compared last stays, and so does when.
      status["sync"]["status"] = "Unknown";
      SetHealth("Unknown", "", before, status);
      KeepSyncError(before, conditions);
    } else {
      const Comparison found = CompareNow(level);
      if (!found.problem.empty() && conditions.empty()) {
        conditions.push_back({{"type", "ComparisonError"}, {"message", found.problem}});
      }
      NormalizeSpec();
      // An operation is begun before the comparison is written.
      if (orders_.sync_window) {
        KeepSyncError(before, conditions);
      } else {
        SyncAutomatically(found, before, conditions);
      }
      if (level == Level::kLatest || !before.contains("reconciledAt")) {
        status["reconciledAt"] = TimeText(now_);
      }
      status["sync"] = found.sync;
      SetHealth(found.health, found.health_message, before, status);
      status["resources"] = found.resources;
      status["summary"]["images"] = json::array();
      const json& live = At(applied_, {"Deployment"});
      if (!live.is_null()) status["summary"]["images"].push_back(Image(live));
      status["sourceType"] = status["sourceTypes"] = nullptr;
      if (HasSeveralSources(spec_)) {
        status["sourceTypes"] = found.source_types;
      } else if (!found.source_types.empty()) {
        status["sourceType"] = found.source_types.front();
      }
      status["controllerNamespace"] = kControllerNamespace;
      status["resourceHealthSource"] = "appTree";
    }
    SetConditions(std::move(conditions), before, status);
    status = WrittenStatus(status);
    json changes = MergeDiff(before, status);
    if (!changes.empty()) MergePatch({{"status", std::move(changes)}});
    RemoveRefreshAnnotation();
    step_.what = base::StrCat("compared the Application: ", TextAt(status, {"sync", "status"}),
                              ", ", TextAt(status, {"health", "status"}), step_.what);
    if (!step_.writes.empty()) return;
    // It came out as before; what is due next is.
    if (step_.memory.refresh_at) LookAgainAt(*step_.memory.refresh_at);
  }

  // The message says what caused the last transition, and is not brought up to date.
  void SetHealth(const std::string& health, const std::string& message, const json& before,
                 json& status) const {
    if (TextAt(before, {"health", "status"}) == health) return;
    status["health"] = {
        {"status", health}, {"message", message}, {"lastTransitionTime", TimeText(now_)}};
  }

  static void KeepSyncError(const json& before, json& conditions) {
    const json& old = At(before, {"conditions"});
    if (!old.is_array()) return;
    for (const json& condition : old) {
      if (TextAt(condition, {"type"}) == "SyncError") conditions.push_back(condition);
    }
  }

  void SetConditions(json conditions, const json& before, json& status) const {
    const json& old = At(before, {"conditions"});
    for (json& condition : conditions) {
      condition["lastTransitionTime"] = TimeText(now_);
      if (!old.is_array()) continue;
      for (const json& known : old) {
        if (TextAt(known, {"type"}) == TextAt(condition, {"type"}) &&
            TextAt(known, {"message"}) == TextAt(condition, {"message"})) {
          condition = known;
        }
      }
    }
    std::sort(conditions.begin(), conditions.end(), [](const json& a, const json& b) {
      return TextAt(a, {"type"}) < TextAt(b, {"type"});
    });
    status["conditions"] = std::move(conditions);
  }

  // The refresh that was asked for is done. One that is asked for while it is done is lost, unless
  // its timestamp tells it from this one.
  void RemoveRefreshAnnotation() {
    const json& annotations = At(app_, {"metadata", "annotations"});
    if (!annotations.is_object()) return;
    json patch = json::array();
    const auto timestamp = annotations.find(kRefreshTimestampAnnotation);
    if (timestamp != annotations.end()) {
      const std::string pointer = PointerTo(kRefreshTimestampAnnotation);
      patch.push_back({{"op", "test"}, {"path", pointer}, {"value", *timestamp}});
      patch.push_back({{"op", "remove"}, {"path", pointer}});
    }
    if (annotations.contains(std::string(argocd::kRefreshAnnotation))) {
      patch.push_back({{"op", "remove"}, {"path", PointerTo(argocd::kRefreshAnnotation)}});
    }
    if (!patch.empty()) JsonPatch(std::move(patch));
  }

  // Argo CD writes the spec as it understands it.
  void NormalizeSpec() {
    if (!spec_.is_object()) return;
    json spec = spec_;
    if (TextAt(spec, {"project"}).empty()) spec["project"] = "default";
    if (IsFilledArray(At(spec, {"sources"}))) {
      for (json& source : spec["sources"]) source = NormalizedSource(source);
    } else if (spec.contains("source")) {
      spec["source"] = NormalizedSource(spec["source"]);
    }
    const json& policy = At(spec, {"syncPolicy"});
    if (policy.is_object() && !At(policy, {"automated"}).is_object() &&
        !IsFilledArray(At(policy, {"syncOptions"})) && !At(policy, {"retry"}).is_object() &&
        !At(policy, {"managedNamespaceMetadata"}).is_object()) {
      spec.erase("syncPolicy");
    }
    json changes = MergeDiff(spec_, spec);
    if (!changes.empty()) MergePatch({{"spec", std::move(changes)}});
  }

  // ---- Automated syncs ----

  // Whether the Application is synced automatically, and healed.
  std::pair<bool, bool> Automation() const {
    const json& automated = At(spec_, {"syncPolicy", "automated"});
    const bool enabled = automated.is_object() && At(automated, {"enabled"}) != false;
    return {enabled, enabled && TrueAt(automated, {"selfHeal"})};
  }

  // An operation that nobody asked for. Gantry's are told by their info.
  bool LastWasAutomated() const {
    return TrueAt(state_, {"operation", "initiatedBy", "automated"}) &&
           !IsFilledArray(At(state_, {"operation", "info"}));
  }

  // Whether the last operation was to these revisions of the sources that the spec has.
  bool WasAttempted(const Revisions& wanted) const {
    if (!state_.is_object()) return false;
    const json& result = At(state_, {"syncResult"});
    if (!result.is_object()) return IsCompleted(TextAt(state_, {"phase"}));
    const Revisions last = FromJson(result);
    return last.several == wanted.several && last.revisions == wanted.revisions &&
           std::equal(last.sources.begin(), last.sources.end(), wanted.sources.begin(),
                      wanted.sources.end(), SameSource);
  }

  void SyncAutomatically(const Comparison& found, const json& before, json& conditions) {
    const auto [automated, heals] = Automation();
    const bool succeeded = TextAt(state_, {"phase"}) == kSucceeded;
    const bool ordered = orders_.self_heal && succeeded && !LastWasAutomated() &&
                         IsWholeSync(At(state_, {"operation"}));
    if (!automated && !ordered) return;
    if (!At(app_, {"operation"}).is_null()) return;
    if (TextAt(found.sync, {"status"}) != "OutOfSync") return;
    Revisions wanted = FromJson({{"source", At(found.sync, {"comparedTo", "source"})},
                                 {"sources", At(found.sync, {"comparedTo", "sources"})},
                                 {"revision", At(found.sync, {"revision"})},
                                 {"revisions", At(found.sync, {"revisions"})}});
    if (!WasAttempted(wanted)) return BeginAutomatedSync(wanted, 0, {}, before);
    if (!succeeded) {
      const json& result = At(state_, {"syncResult"});
      conditions.push_back(
          {{"type", "SyncError"},
           {"message",
            base::StrCat("Failed last sync attempt to [",
                         result.is_object() ? absl::StrJoin(FromJson(result).revisions, " ") : "",
                         "]: ", TextAt(state_, {"message"}))}});
      return;
    }
    if (!heals && !ordered) return;
    const int healed = NumberAt(state_, {"operation", "sync", "autoHealAttemptsCount"}, 0);
    const absl::Duration delay =
        healed <= 0 ? absl::ZeroDuration()
                    : std::min(kHealDelay * std::pow(kHealFactor, healed - 1), kMaxHealDelay);
    const absl::Time due = EndedAt().value_or(now_) + delay;
    if (now_ < due) {
      step_.memory.refresh_at = due;
      return;
    }
    json resources = json::array();
    for (const json& resource : found.resources) {
      if (TextAt(resource, {"status"}) == "Synced") continue;
      resources.push_back({{"group", TextAt(resource, {"group"})},
                           {"kind", TextAt(resource, {"kind"})},
                           {"name", TextAt(resource, {"name"})}});
    }
    BeginAutomatedSync(wanted, healed + 1, resources, before);
  }

  json AutomatedOperation(const Revisions& target, int heal_attempts, const json& resources) const {
    json sync = {{"autoHealAttemptsCount", heal_attempts},
                 {"prune", At(spec_, {"syncPolicy", "automated", "prune"})},
                 {"syncOptions", At(spec_, {"syncPolicy", "syncOptions"})},
                 {"resources", resources}};
    if (target.several) {
      sync["sources"] = target.sources;
      sync["revisions"] = target.revisions;
    } else {
      sync["source"] = target.sources.front();
      sync["revision"] = target.revisions.front();
    }
    const json& retry = At(spec_, {"syncPolicy", "retry"});
    return WrittenOperation(
        {{"initiatedBy", {{"automated", true}}},
         {"retry", retry.is_object() ? retry : json{{"limit", kAutomatedRetries}}},
         {"sync", std::move(sync)}});
  }

  // One write of the whole Application, refused when somebody else wrote.
  void BeginAutomatedSync(const Revisions& target, int heal_attempts, const json& resources,
                          json status) {
    status.erase("operationState");
    json patch = json::array();
    const std::string version = TextAt(app_, {"metadata", "resourceVersion"});
    if (!version.empty()) {
      patch.push_back(
          {{"op", "replace"}, {"path", "/metadata/resourceVersion"}, {"value", version}});
    }
    patch.push_back({{"op", "add"},
                     {"path", "/operation"},
                     {"value", AutomatedOperation(target, heal_attempts, resources)}});
    patch.push_back({{"op", "add"}, {"path", "/status"}, {"value", std::move(status)}});
    JsonPatch(std::move(patch));
    step_.what = "; began an automated sync";
  }

  const json& app_;
  const json& spec_;
  const json& state_;
  const Memory& memory_;
  const absl::Time now_;
  const Settings& settings_;
  const Orders orders_;
  const json applied_;
  Step step_;
};

}  // namespace

json MergeDiff(const json& from, const json& to) {
  json patch = json::object();
  for (const auto& [key, value] : to.items()) {
    const auto old = from.find(key);
    if (old == from.end()) {
      if (!value.is_null()) patch[key] = value;
    } else if (*old == value) {
      continue;
    } else if (old->is_object() && value.is_object()) {
      json changes = MergeDiff(*old, value);
      if (!changes.empty()) patch[key] = std::move(changes);
    } else {
      patch[key] = value;
    }
  }
  for (const auto& [key, value] : from.items()) {
    if (!value.is_null() && !to.contains(key)) patch[key] = nullptr;
  }
  return patch;
}

Step NextStep(const json& application, const Memory& memory, absl::Time now,
              const Settings& settings) {
  return Reconciler(application, memory, now, settings).Next();
}

}  // namespace gantry::argocd_standin
