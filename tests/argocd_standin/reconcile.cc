// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "server/argocd/annotations.h"
#include "server/base/strings.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/orders.h"
#include "tests/argocd_standin/revision.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr std::string_view kRunning = "Running";
constexpr std::string_view kTerminating = "Terminating";
constexpr std::string_view kSucceeded = "Succeeded";
constexpr std::string_view kFailed = "Failed";
constexpr std::string_view kError = "Error";
constexpr std::string_view kSyncedMessage = "successfully synced (all tasks run)";

// Numbers in Applications are counts, and small.
constexpr std::int64_t kMaxNumber = 1'000'000;
constexpr int kDefaultHistoryLimit = 10;
// Of a retry policy that says nothing else.
constexpr absl::Duration kRetryDuration = absl::Seconds(5);
constexpr absl::Duration kMaxRetryDuration = absl::Minutes(3);
constexpr double kRetryFactor = 2;
constexpr int kAutomatedRetries = 5;
// Between automated syncs that heal the same revision.
constexpr absl::Duration kHealDelay = absl::Seconds(2);
constexpr absl::Duration kMaxHealDelay = absl::Minutes(5);
constexpr double kHealFactor = 3;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

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

bool IsCompleted(std::string_view phase) {
  return phase == kSucceeded || phase == kFailed || phase == kError;
}

// A merge patch cannot store a null in an object.
json WithoutNulls(const json& value) {
  if (!value.is_object()) return value;
  json stored = json::object();
  for (const auto& [key, member] : value.items()) {
    if (!member.is_null()) stored[key] = WithoutNulls(member);
  }
  return stored;
}

json MetadataWithout(const json& application, std::string_view annotation) {
  json metadata = At(application, {"metadata"});
  if (metadata.is_object() && metadata.contains("annotations") &&
      metadata["annotations"].is_object()) {
    metadata["annotations"].erase(std::string(annotation));
  }
  return metadata;
}

// Sources with the revisions they resolve to: what is compared, or what was deployed.
struct Revisions {
  bool several = false;  // the Application has `sources`
  std::vector<json> sources;
  std::vector<std::string> revisions;
};

// Two that deploy the same, whatever branch or tag it was called by.
bool DeploysTheSame(const Revisions& a, const Revisions& b) {
  if (a.revisions != b.revisions || a.sources.size() != b.sources.size()) return false;
  for (std::size_t i = 0; i < a.sources.size(); ++i) {
    json left = WithoutNulls(a.sources[i]);
    json right = WithoutNulls(b.sources[i]);
    for (json* source : {&left, &right}) {
      if (source->is_object()) source->erase("targetRevision");
    }
    if (left != right) return false;
  }
  return true;
}

// Argo CD writes the fields of a single source beside those of several.
json ToJson(const Revisions& of) {
  json object = json::object();
  if (of.several) {
    object["revision"] = "";
    object["source"] = {{"repoURL", ""}};
    object["revisions"] = of.revisions;
    object["sources"] = json::array();
    for (const json& source : of.sources) object["sources"].push_back(WithoutNulls(source));
  } else if (!of.sources.empty()) {
    object["revision"] = of.revisions.front();
    object["source"] = WithoutNulls(of.sources.front());
  }
  return object;
}

// Back from a history entry or a syncResult.
std::optional<Revisions> FromJson(const json& object) {
  Revisions of;
  const json& sources = At(object, {"sources"});
  of.several = sources.is_array() && !sources.empty();
  if (of.several) {
    of.sources.assign(sources.begin(), sources.end());
    const json& revisions = At(object, {"revisions"});
    if (!revisions.is_array()) return std::nullopt;
    for (const json& revision : revisions) {
      of.revisions.push_back(revision.is_string() ? revision.get<std::string>() : "");
    }
    return of;
  }
  const json& source = At(object, {"source"});
  if (!source.is_object()) return std::nullopt;
  of.sources = {source};
  of.revisions = {TextAt(object, {"revision"})};
  return of;
}

// What of an Application's status a comparison decides, without the times.
struct Comparison {
  json sync;
  json health;
  json conditions = json::array();
  // An Application that cannot even be compared: reconciledAt does not advance.
  bool invalid = false;
  // When it comes out differently although nothing changes.
  absl::Time changes_at = absl::InfiniteFuture();

  json Outcome() const {
    return {{"sync", WithoutNulls(sync)}, {"health", health}, {"conditions", conditions}};
  }
};

// The outcome that is stored in an Application.
json StoredOutcome(const json& application) {
  json outcome = {{"sync", At(application, {"status", "sync"})},
                  {"health", json::object()},
                  {"conditions", json::array()}};
  for (const char* key : {"status", "message"}) {
    const json& value = At(application, {"status", "health", key});
    if (!value.is_null()) outcome["health"][key] = value;
  }
  const json& conditions = At(application, {"status", "conditions"});
  if (conditions.is_array()) {
    for (const json& condition : conditions) {
      outcome["conditions"].push_back(
          {{"type", TextAt(condition, {"type"})}, {"message", TextAt(condition, {"message"})}});
    }
  }
  return outcome;
}

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
        orders_(OrdersOf(application)) {}

  Step Next() {
    step_.memory = memory_;
    const json& status = At(app_, {"status"});
    if (!app_.is_object() || !(status.is_object() || status.is_null())) return step_;
    if (!At(app_, {"metadata", "deletionTimestamp"}).is_null()) return ReleaseDeleted();
    if (Annotation(argocd::kSkipReconcileAnnotation) == "true") return step_;
    if (orders_.deployed && IsNew()) {
      CountAsDeployed();
      return step_;
    }
    Operate();
    if (!step_.patch) Compare();
    if (!step_.patch) Heal();
    return step_;
  }

 private:
  std::string Annotation(std::string_view name) const {
    return TextAt(app_, {"metadata", "annotations", std::string(name).c_str()});
  }

  // Sets the patch that turns the Application into `next`.
  void Write(const json& next, std::string what) {
    step_.patch = MergeDiff(app_, next);
    step_.what = std::move(what);
  }

  void LookAgainAt(absl::Time time) {
    if (time == absl::InfiniteFuture()) return;
    step_.look_again = std::min(step_.look_again, std::max(time - now_, absl::ZeroDuration()));
  }

  // Nothing was deployed, so there is nothing to delete before the Application goes.
  Step ReleaseDeleted() {
    const json& finalizers = At(app_, {"metadata", "finalizers"});
    json rest = json::array();
    if (finalizers.is_array()) {
      for (const json& finalizer : finalizers) {
        if (!finalizer.is_string() ||
            !absl::StrContains(finalizer.get<std::string>(), "argocd.argoproj.io")) {
          rest.push_back(finalizer);
        }
      }
      if (rest.size() != finalizers.size()) {
        json next = app_;
        next["metadata"]["finalizers"] = rest;
        Write(next, "let the Application be deleted");
      }
    }
    return step_;
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
    json result = ToJson(target);
    json next = app_;
    next["status"]["history"] = json::array({result});
    json& entry = next["status"]["history"].back();
    entry["id"] = 0;
    entry["deployStartedAt"] = entry["deployedAt"] = TimeText(ended);
    entry["initiatedBy"] = {{"automated", true}};
    AddResources(true, result);
    next["status"]["operationState"] = {{"phase", kSucceeded},
                                        {"message", kSyncedMessage},
                                        {"startedAt", TimeText(ended)},
                                        {"finishedAt", TimeText(ended)},
                                        {"operation", AutomatedOperation(target, 0)},
                                        {"syncResult", std::move(result)}};
    Write(next, "counted the Application as deployed");
  }

  // ---- The operation ----

  bool InProgress() const {
    const std::string phase = TextAt(state_, {"phase"});
    return phase == kRunning || phase == kTerminating;
  }
  bool AwaitsRetry() const {
    return TextAt(state_, {"phase"}) == kRunning && EndedAt().has_value();
  }
  // Then it cannot be synced either.
  bool CannotCompare() const {
    return orders_.condition == "ComparisonError" || orders_.condition == "InvalidSpecError";
  }
  bool HasBegun() const { return At(state_, {"syncResult"}).is_object(); }

  // When the last attempt ended.
  std::optional<absl::Time> EndedAt() const {
    const auto written = TimeAt(state_, {"finishedAt"});
    if (written && memory_.ended && TimeText(*memory_.ended) == TimeText(*written)) {
      return memory_.ended;
    }
    return written;
  }

  void Operate() {
    const json& operation = At(app_, {"operation"});
    if (!operation.is_object()) return;
    if (!InProgress()) return TakeUp(operation);
    // As in Argo CD, an operation that was written over one that is in progress is not seen.
    if (TextAt(state_, {"phase"}) == kTerminating) return End(kFailed, "Operation terminated");
    const bool retries = AwaitsRetry();
    if (retries) {
      const absl::Time retry_at = *EndedAt() + RetryDelay(NumberAt(state_, {"retryCount"}, 1) - 1);
      if (now_ < retry_at) return LookAgainAt(retry_at);
    } else if (!HasBegun() && orders_.sync_window) {
      json next = app_;
      next["status"]["operationState"]["message"] = "Sync operation blocked by sync window";
      if (next != app_) Write(next, "left an operation blocked by a sync window");
      return;
    }
    // Argo CD compares before it syncs, and each time that it looks at a sync in progress.
    if (CannotCompare()) {
      return Fail(kError, base::StrCat(orders_.condition, ": ", orders_.condition_message), "");
    }
    if (retries || !HasBegun()) return Begin();
    if (orders_.hang) return;
    absl::Time began = now_;
    if (memory_.attempt_began) {
      began = *memory_.attempt_began;
    } else if (const auto started = TimeAt(state_, {"startedAt"})) {
      began = *started;
    }
    const absl::Time due = began + orders_.sync_duration.value_or(settings_.sync_duration);
    if (now_ < due) return LookAgainAt(due);
    if (orders_.error) return Fail(kError, *orders_.error, "ComparisonError");
    if (orders_.fail) return Fail(kFailed, *orders_.fail, "one or more objects failed to apply");
    End(kSucceeded, std::string(kSyncedMessage));
  }

  void TakeUp(const json& operation) {
    json next = app_;
    next["status"]["operationState"] = {
        {"phase", kRunning}, {"startedAt", TimeText(now_)}, {"operation", WithoutNulls(operation)}};
    step_.memory.attempt_began.reset();
    step_.on_live_read = true;
    Write(next, "took up an operation");
  }

  void Begin() {
    Revisions synced = Target();
    const json& sync = At(state_, {"operation", "sync"});
    // An operation may ask for other sources or revisions than the spec.
    if (const json& sources = At(sync, {"sources"}); sources.is_array() && !sources.empty()) {
      synced = Resolved(true, {sources.begin(), sources.end()});
    } else if (const json& source = At(sync, {"source"}); source.is_object()) {
      synced = Resolved(false, {source});
    }
    std::vector<json> revisions;
    if (const json& given = At(sync, {"revisions"}); synced.several && given.is_array()) {
      revisions.assign(given.begin(), given.end());
    } else if (!synced.several) {
      revisions = {At(sync, {"revision"})};
    }
    for (std::size_t i = 0; i < std::min(revisions.size(), synced.sources.size()); ++i) {
      json source = synced.sources[i];
      if (!source.is_object() || revisions[i].is_null() || revisions[i] == "") continue;
      source["targetRevision"] = revisions[i];
      synced.revisions[i] = ResolveRevision(source, orders_.revision);
    }
    json next = app_;
    json& state = next["status"]["operationState"];
    state.erase("finishedAt");
    state["message"] = base::StrCat("waiting for healthy state of apps/Deployment/", Name());
    state["syncResult"] = ToJson(synced);
    step_.memory.attempt_began = now_;
    Write(next, "began to sync");
  }

  void Fail(std::string_view phase, const std::string& ordered, std::string_view otherwise) {
    std::string message = ordered.empty() ? std::string(otherwise) : ordered;
    const int retries = NumberAt(state_, {"retryCount"}, 0);
    const int limit = NumberAt(state_, {"operation", "retry", "limit"}, 0);
    if (limit >= 0 && retries >= limit) {
      if (retries > 0) base::StrAppend(&message, " (retried ", retries, " times).");
      return End(phase, message);
    }
    json next = app_;
    json& state = next["status"]["operationState"];
    state["finishedAt"] = TimeText(now_);
    state["retryCount"] = retries + 1;
    state["message"] = base::StrCat(
        message, ". Retrying attempt #", retries + 1, " at ",
        absl::FormatTime("%-I:%M%p", now_ + RetryDelay(retries), absl::UTCTimeZone()), ".");
    // Where nothing can be compared, nothing was applied.
    if (!CannotCompare()) AddResources(false, state["syncResult"]);
    step_.memory.ended = now_;
    Write(next, "failed an attempt that is tried again");
  }

  absl::Duration RetryDelay(int retries) const {
    const json& backoff = At(state_, {"operation", "retry", "backoff"});
    const auto duration = [&](const char* key, absl::Duration otherwise) {
      const std::string text = TextAt(backoff, {key});
      absl::Duration parsed;
      std::int64_t seconds = 0;
      if (absl::SimpleAtoi(text, &seconds))
        return absl::Seconds(std::max<std::int64_t>(seconds, 0));
      if (absl::ParseDuration(text, &parsed) && parsed >= absl::ZeroDuration()) return parsed;
      return otherwise;
    };
    const double factor = NumberAt(backoff, {"factor"}, static_cast<int>(kRetryFactor));
    return std::min(duration("duration", kRetryDuration) * std::pow(factor, std::max(retries, 0)),
                    duration("maxDuration", kMaxRetryDuration));
  }

  // The write that completes the state and clears the request.
  void End(std::string_view phase, const std::string& message) {
    json next = app_;
    json& state = next["status"]["operationState"];
    state["phase"] = phase;
    state["message"] = message;
    state["finishedAt"] = TimeText(now_);
    const bool dry_run = TrueAt(state_, {"operation", "sync", "dryRun"});
    if (phase == kSucceeded && !dry_run) AddHistory(next);
    if (orders_.lose_sync_result) {
      state.erase("syncResult");
    } else if (state.contains("syncResult") && !CannotCompare()) {
      AddResources(phase == kSucceeded, state["syncResult"]);
    }
    next.erase("operation");
    step_.memory.ended = now_;
    step_.memory.attempt_began.reset();
    Write(next, base::StrCat("ended an operation as ", phase));
  }

  void AddHistory(json& next) const {
    json& history = next["status"]["history"];
    if (!history.is_array()) history = json::array();
    json entry = At(state_, {"syncResult"});
    if (!entry.is_object()) entry = json::object();
    entry.erase("resources");
    entry["id"] = history.empty() ? 0 : NumberAt(history.back(), {"id"}, -1) + 1;
    entry["deployStartedAt"] = TextAt(state_, {"startedAt"});
    entry["deployedAt"] = TimeText(now_);
    const json& initiator = At(state_, {"operation", "initiatedBy"});
    if (initiator.is_object()) entry["initiatedBy"] = initiator;
    history.push_back(std::move(entry));
    const int limit = NumberAt(spec_, {"revisionHistoryLimit"}, kDefaultHistoryLimit);
    while (history.size() > static_cast<std::size_t>(std::max(limit, 1))) {
      history.erase(history.begin());
    }
  }

  std::string Name() const {
    const std::string name = TextAt(app_, {"metadata", "name"});
    return name.empty() ? "web" : name;
  }

  // What a small Application consists of.
  std::vector<json> Resources() const {
    const std::string ns = TextAt(spec_, {"destination", "namespace"});
    std::vector<json> resources = {
        {{"group", "apps"}, {"version", "v1"}, {"kind", "Deployment"}, {"name", Name()}},
        {{"group", ""}, {"version", "v1"}, {"kind", "Service"}, {"name", Name()}}};
    for (json& resource : resources) resource["namespace"] = ns;
    return resources;
  }

  void AddResources(bool applied, json& sync_result) const {
    json resources = json::array();
    for (json& resource : Resources()) {
      const std::string kind = absl::AsciiStrToLower(TextAt(resource, {"kind"}));
      const std::string group = TextAt(resource, {"group"});
      const std::string object = base::StrCat(kind, group.empty() ? "" : ".", group, "/", Name());
      resource["syncPhase"] = "Sync";
      // The Service is applied whatever becomes of the Deployment.
      const bool well = applied || group.empty();
      resource["status"] = well ? "Synced" : "SyncFailed";
      resource["hookPhase"] = well ? "Running" : "Failed";
      resource["message"] = base::StrCat(object, well ? " configured" : " was not applied");
      resources.push_back(std::move(resource));
    }
    sync_result["resources"] = std::move(resources);
  }

  // ---- The comparison ----

  Revisions Resolved(bool several, std::vector<json> sources) const {
    Revisions target;
    target.several = several;
    for (const json& source : sources) {
      target.revisions.push_back(ResolveRevision(source, orders_.revision));
    }
    target.sources = std::move(sources);
    return target;
  }

  // What the Application asks for.
  Revisions Target() const {
    const json& sources = At(spec_, {"sources"});
    if (sources.is_array() && !sources.empty()) {
      return Resolved(true, {sources.begin(), sources.end()});
    }
    return Resolved(false, {At(spec_, {"source"})});
  }

  // The last successful operation's; nothing when there was none.
  std::optional<Revisions> Deployed() const {
    const json& history = At(app_, {"status", "history"});
    if (history.is_array() && !history.empty()) return FromJson(history.back());
    if (TextAt(state_, {"phase"}) != kSucceeded) return std::nullopt;
    return FromJson(At(state_, {"syncResult"}));
  }

  Comparison CompareNow() const {
    Comparison found;
    found.invalid = orders_.condition == "InvalidSpecError";
    const Revisions target = Target();
    const std::optional<Revisions> deployed = Deployed();

    found.sync = ToJson(target);
    json compared_to = json::object();
    for (const char* key : {"source", "sources"}) {
      if (!found.sync.contains(key)) continue;
      compared_to[key] = found.sync[key];
      found.sync.erase(key);
    }
    // Unlike a syncResult, it has no empty revision beside several.
    if (target.several) found.sync.erase("revision");
    const json& destination = At(spec_, {"destination"});
    if (destination.is_object()) compared_to["destination"] = destination;
    found.sync["comparedTo"] = std::move(compared_to);
    const bool same = !orders_.drift && deployed && DeploysTheSame(target, *deployed);
    found.sync["status"] = same ? "Synced" : "OutOfSync";
    if (CannotCompare()) found.sync["status"] = "Unknown";

    if (!orders_.condition.empty()) {
      found.conditions.push_back(
          {{"type", orders_.condition}, {"message", orders_.condition_message}});
    }
    JudgeHealth(deployed.has_value(), found);
    return found;
  }

  void JudgeHealth(bool is_deployed, Comparison& found) const {
    const auto ended = EndedAt();
    if (found.invalid) {
      found.health = {{"status", "Unknown"}};
    } else if (!orders_.health.empty()) {
      found.health = {{"status", orders_.health}};
    } else if (orders_.degrade) {
      found.health = {{"status", "Degraded"}};
      if (!orders_.degrade->empty()) found.health["message"] = *orders_.degrade;
    } else if (InProgress() && HasBegun() && !AwaitsRetry()) {
      found.health = {{"status", "Progressing"}};
    } else if (!is_deployed) {
      found.health = {{"status", "Missing"}};
    } else if (TextAt(state_, {"phase"}) == kSucceeded && ended &&
               now_ < *ended + settings_.health_duration) {
      found.health = {{"status", "Progressing"}};
      found.changes_at = *ended + settings_.health_duration;
    } else {
      found.health = {{"status", "Healthy"}};
    }
  }

  // What the last comparison found. The one in the Application counts only while no other is known:
  // an API server need not store everything that it is given, and that is no reason to begin again.
  json KnownOutcome() const {
    return memory_.compared.is_null() ? StoredOutcome(app_) : memory_.compared;
  }

  // When the next comparison is due.
  absl::Time ComparisonDue(const Comparison& found) const {
    // Any value asks for a refresh, also an empty one.
    const std::string refresh(argocd::kRefreshAnnotation);
    if (!At(app_, {"metadata", "annotations", refresh.c_str()}).is_null()) return now_;
    const auto reconciled = TimeAt(app_, {"status", "reconciledAt"});
    const auto ended = IsCompleted(TextAt(state_, {"phase"})) ? EndedAt() : std::nullopt;
    const absl::Time after_operation =
        ended ? *ended + settings_.refresh_delay : absl::InfinitePast();
    if (found.Outcome() != KnownOutcome()) return std::max(now_, after_operation);
    if (found.invalid) return absl::InfiniteFuture();
    if (!reconciled) return now_;
    const auto written = TimeAt(state_, {"finishedAt"});
    if (ended && written && *reconciled < *written) return std::max(now_, after_operation);
    absl::Time due = found.changes_at;
    if (settings_.resync > absl::ZeroDuration()) {
      due = std::min(due, *reconciled + settings_.resync);
    }
    return due;
  }

  void Compare() {
    if (orders_.no_reconcile) return;
    const Comparison found = CompareNow();
    const absl::Time due = ComparisonDue(found);
    if (now_ < due) return LookAgainAt(due);

    json next = app_;
    next["metadata"] = MetadataWithout(app_, argocd::kRefreshAnnotation);
    json& status = next["status"];
    status["sync"] = found.sync;
    if (!found.invalid) status["reconciledAt"] = TimeText(now_);
    json health = found.health;
    const bool same = TextAt(status, {"health", "status"}) == TextAt(health, {"status"});
    const std::string since = TextAt(status, {"health", "lastTransitionTime"});
    health["lastTransitionTime"] = same && !since.empty() ? since : TimeText(now_);
    const std::string health_status = TextAt(health, {"status"});
    status["health"] = std::move(health);
    SetConditions(found.conditions, status);
    json resources = json::array();
    for (json& resource : Resources()) {
      // A Service has no health of its own to speak of.
      if (TextAt(resource, {"kind"}) == "Deployment") {
        resource["health"] = {{"status", health_status}};
      }
      resource["status"] = found.sync["status"];
      resources.push_back(std::move(resource));
    }
    status["resources"] = std::move(resources);
    step_.memory.compared = found.Outcome();
    Write(next, base::StrCat("compared the Application: ", TextAt(found.sync, {"status"}), ", ",
                             health_status));
  }

  void SetConditions(const json& conditions, json& status) const {
    if (conditions.empty()) {
      status.erase("conditions");
      return;
    }
    json stored = conditions;
    for (json& condition : stored) {
      condition["lastTransitionTime"] = TimeText(now_);
      const json& old = At(app_, {"status", "conditions"});
      if (!old.is_array()) continue;
      for (const json& before : old) {
        const std::string since = TextAt(before, {"lastTransitionTime"});
        if (TextAt(before, {"type"}) == TextAt(condition, {"type"}) && !since.empty()) {
          condition["lastTransitionTime"] = since;
        }
      }
    }
    status["conditions"] = std::move(stored);
  }

  // ---- Automated syncs ----

  // An operation that nobody asked for. Gantry's are told by their info.
  bool LastWasAutomated() const {
    return TrueAt(state_, {"operation", "initiatedBy", "automated"}) &&
           At(state_, {"operation", "info"}).is_null();
  }

  void Heal() {
    if (!At(app_, {"operation"}).is_null() || InProgress()) return;
    const bool succeeded = TextAt(state_, {"phase"}) == kSucceeded;
    if (orders_.self_heal && succeeded && !LastWasAutomated()) return SyncItself(0);

    const json& automated = At(spec_, {"syncPolicy", "automated"});
    if (!automated.is_object() || At(automated, {"enabled"}) == false) return;
    if (TextAt(app_, {"status", "sync", "status"}) != "OutOfSync") return;
    // What was compared last is from before the last operation's end.
    const auto reconciled = TimeAt(app_, {"status", "reconciledAt"});
    const auto written = TimeAt(state_, {"finishedAt"});
    if (!reconciled || (written && *reconciled < *written)) return;
    const auto tried = FromJson(At(state_, {"syncResult"}));
    if (!tried || !DeploysTheSame(*tried, Target())) return SyncItself(0);
    // It was tried, and will not come out differently; only what changed since is healed.
    if (!succeeded || !TrueAt(automated, {"selfHeal"})) return;
    const int healed = LastWasAutomated()
                           ? NumberAt(state_, {"operation", "sync", "selfHealAttemptsCount"}, 0)
                           : 0;
    const auto ended = EndedAt();
    const absl::Time due =
        ended.value_or(now_) + std::min(kHealDelay * std::pow(kHealFactor, healed), kMaxHealDelay);
    if (now_ < due) return LookAgainAt(due);
    SyncItself(healed + 1);
  }

  json AutomatedOperation(const Revisions& target, int heal_attempts) const {
    json sync = json::object();
    if (target.several) {
      sync["revisions"] = target.revisions;
    } else {
      sync["revision"] = target.revisions.front();
    }
    if (heal_attempts > 0) sync["selfHealAttemptsCount"] = heal_attempts;
    if (TrueAt(spec_, {"syncPolicy", "automated", "prune"})) sync["prune"] = true;
    const json& options = At(spec_, {"syncPolicy", "syncOptions"});
    if (options.is_array()) sync["syncOptions"] = options;
    const json& retry = At(spec_, {"syncPolicy", "retry"});
    return {{"initiatedBy", {{"automated", true}}},
            {"retry", retry.is_object() ? WithoutNulls(retry) : json{{"limit", kAutomatedRetries}}},
            {"sync", std::move(sync)}};
  }

  void SyncItself(int heal_attempts) {
    json next = app_;
    next["operation"] = AutomatedOperation(Target(), heal_attempts);
    next["status"].erase("operationState");
    Write(next, "began an automated sync");
    (*step_.patch)["metadata"]["resourceVersion"] = TextAt(app_, {"metadata", "resourceVersion"});
  }

  const json& app_;
  const json& spec_;
  const json& state_;
  const Memory& memory_;
  const absl::Time now_;
  const Settings& settings_;
  const Orders orders_;
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
