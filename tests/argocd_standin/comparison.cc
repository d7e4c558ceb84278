// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/comparison.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"
#include "tests/argocd_standin/argo_types.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/merge_diff.h"
#include "tests/argocd_standin/operation_state.h"
#include "tests/argocd_standin/sources.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr char kRefreshTimestampAnnotation[] = "argocd.argoproj.io/refresh-timestamp";
constexpr char kControllerNamespace[] = "argocd";
// Between automated syncs that heal the same revision; the first is at once.
constexpr absl::Duration kHealDelay = absl::Seconds(2);
constexpr absl::Duration kMaxHealDelay = absl::Minutes(5);
constexpr double kHealFactor = 3;

std::string PointerTo(std::string_view annotation) {
  return base::StrCat("/metadata/annotations/",
                      absl::StrReplaceAll(base::ToAbsl(annotation), {{"~", "~0"}, {"/", "~1"}}));
}

// Decides one comparison.
class ComparisonStep {
 public:
  ComparisonStep(const ApplicationView& view, Step& step) : view_(view), step_(step) {}

  void Compare() {
    if (view_.orders.no_reconcile) return;
    const Level level = DueComparison();
    if (level == Level::kNone) return;

    step_.memory.seen = Seen();
    step_.memory.refresh_at.reset();
    const json before = WrittenStatus(At(view_.app, {"status"}));
    json status = before;
    json conditions = OrderedConditions();
    if (view_.orders.condition == "InvalidSpecError") {
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
      if (view_.orders.sync_window) {
        KeepSyncError(before, conditions);
      } else {
        SyncAutomatically(found, before, conditions);
      }
      if (level == Level::kLatest || !before.contains("reconciledAt")) {
        status["reconciledAt"] = base::UtcTime(view_.now);
      }
      status["sync"] = found.sync;
      SetHealth(found.health, found.health_message, before, status);
      status["resources"] = found.resources;
      status["summary"]["images"] = json::array();
      const json& live = At(view_.applied, {"Deployment"});
      if (!live.is_null()) status["summary"]["images"].push_back(view_.Image(live));
      status["sourceType"] = status["sourceTypes"] = nullptr;
      if (HasSeveralSources(view_.spec)) {
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
    if (!changes.empty()) step_.MergePatch({{"status", std::move(changes)}});
    RemoveRefreshAnnotation();
    step_.what = base::StrCat("compared the Application: ", TextAt(status, {"sync", "status"}),
                              ", ", TextAt(status, {"health", "status"}), step_.what);
    if (!step_.writes.empty()) return;
    // It came out as before; what is due next is.
    if (step_.memory.refresh_at) step_.LookAgainAfter(*step_.memory.refresh_at - view_.now);
  }

 private:
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

  bool Drifted() const {
    if (view_.orders.self_heal && TextAt(view_.state, {"phase"}) == kSucceeded &&
        !LastWasAutomated() && IsWholeSync(At(view_.state, {"operation"}))) {
      return true;
    }
    return view_.orders.drift &&
           (*view_.orders.drift == "true" || *view_.orders.drift != view_.memory.healed_drift);
  }

  bool HasChangedNamespaceMetadata() const {
    const json& wanted = At(view_.spec, {"syncPolicy", "managedNamespaceMetadata"});
    const json& result = At(view_.state, {"syncResult"});
    return wanted.is_object() && result.is_object() &&
           At(result, {"managedNamespaceMetadata"}) != wanted;
  }

  std::string Health() const {
    if (!view_.orders.health.empty()) return view_.orders.health;
    if (view_.orders.degrade) return "Degraded";
    if (view_.applied.empty()) return "Missing";
    return view_.now < ProgressesUntil() ? "Progressing" : "Healthy";
  }

  // The Deployment is rolled out during an operation and for a while after it.
  absl::Time ProgressesUntil() const {
    if (TrueAt(view_.state, {"operation", "sync", "dryRun"})) return absl::InfinitePast();
    const json& resources = At(view_.state, {"syncResult", "resources"});
    if (view_.InProgress() && !view_.AwaitsRetry() && resources.is_array()) {
      for (const json& resource : resources) {
        if (TextAt(resource, {"kind"}) == kDeployment.kind) return absl::InfiniteFuture();
      }
    }
    const auto ended = view_.EndedAt();
    if (!ended || TextAt(view_.state, {"phase"}) != kSucceeded) return absl::InfinitePast();
    for (const Resource& resource : view_.Covered(At(view_.state, {"operation"}))) {
      if (resource.kind == kDeployment.kind) return *ended + view_.settings.health_duration;
    }
    return absl::InfinitePast();
  }

  // The names of the Jobs that the last operation ran.
  json Hooks() const {
    json hooks = json::array();
    const json& results = At(view_.state, {"syncResult", "resources"});
    if (!results.is_array()) return hooks;
    for (const json& result : results) {
      if (!TextAt(result, {"hookType"}).empty()) hooks.push_back(TextAt(result, {"name"}));
    }
    return hooks;
  }

  // What a comparison would see of the cluster now.
  json Seen() const {
    return {{"applied", view_.applied},
            {"drifted", Drifted()},
            {"health", Health()},
            {"hooks", Hooks()},
            {"namespaceDiffers", HasChangedNamespaceMetadata()},
            {"ordered", OrderedConditions()}};
  }
  json OrderedConditions() const {
    if (view_.orders.condition.empty()) return json::array();
    return json::array(
        {{{"type", view_.orders.condition}, {"message", view_.orders.condition_message}}});
  }
  // The conditions that are written, but for the one that an automated sync leaves.
  json StoredConditions() const {
    json stored = json::array();
    const json& conditions = At(view_.app, {"status", "conditions"});
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
      deploys = Deploys(RevisionsOf(At(view_.state, {"syncResult"})));
      deploys["manifests"] = At(view_.state, {"operation", "sync", "manifests"});
    }
    bool same = !HasChangedNamespaceMetadata();
    for (const Resource& resource : {kDeployment, kService}) {
      json entry = view_.Describe(resource);
      const std::string kind(resource.kind);
      const json& live = At(view_.applied, {kind.c_str()});
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
      json entry = view_.Describe(kHookJob);
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
    if (view_.orders.condition == "ComparisonError") found.problem = view_.orders.condition_message;
    Revisions target = SourcesWithoutRevisions(view_.spec);
    if (level == Level::kRecent) {
      target.revisions = RevisionsOf({{"revision", At(view_.app, {"status", "sync", "revision"})},
                                      {"revisions", At(view_.app, {"status", "sync", "revisions"})},
                                      {"sources", target.several ? json(target.sources) : json()}})
                             .revisions;
    }
    const json& manifests = At(view_.state, {"operation", "sync", "manifests"});
    const bool local = IsFilledArray(manifests);
    Revisions resolved = target;
    if (!local && found.problem.empty()) found.problem = Resolve(view_.orders, resolved);
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
                   {{"destination", At(view_.spec, {"destination"})},
                    {"ignoreDifferences", At(view_.spec, {"ignoreDifferences"})}}}};
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
    if (failed && view_.applied.empty() && Health() == "Missing") {
      found.health = "Healthy";
      return found;
    }
    found.health = Health();
    if (found.health != "Healthy" && found.health != "Missing") {
      const std::string ns = view_.TargetNamespace();
      found.health_message =
          base::StrCat("Caused by apps/Deployment:", ns, ns.empty() ? "" : "/", view_.Name());
    }
    return found;
  }

  // Which comparison is due now. Looks again when the next one is.
  Level DueComparison() {
    Level level = Level::kNone;
    const auto ask = [&](Level asked, absl::Time at) {
      if (at > view_.now) return step_.LookAgainAfter(at - view_.now);
      level = std::max(level, asked);
    };
    const auto ask_if = [&](bool needed) {
      if (needed) level = Level::kLatest;
    };
    const json& status = At(view_.app, {"status"});
    const json& compared_to = At(status, {"sync", "comparedTo"});
    // Any value asks for a refresh, also an empty one.
    const std::string refresh(argocd::kRefreshAnnotation);
    ask_if(!At(view_.app, {"metadata", "annotations", refresh.c_str()}).is_null());
    ask_if(!HasComparedSources(compared_to));
    const json written =
        WrittenStatus({{"sync",
                        {{"comparedTo",
                          {{"destination", At(view_.spec, {"destination"})},
                           {"ignoreDifferences",
                            At(view_.spec, {"ignoreDifferences"})}}}}}})["sync"]["comparedTo"];
    const json stored = WrittenStatus(status)["sync"]["comparedTo"];
    for (const char* key : {"destination", "ignoreDifferences"}) {
      ask_if(At(written, {key}) != At(stored, {key}));
    }
    ask_if(HasChangedNamespaceMetadata() && !TrueAt(view_.memory.seen, {"namespaceDiffers"}));
    const auto [automated, heals] = Automation();
    if (view_.memory.automation) {
      ask_if((automated && !view_.memory.automation->first) ||
             (heals && !view_.memory.automation->second));
    }
    // That something is wrong is told at once, whenever Argo CD would have found out.
    ask_if(OrderedConditions() !=
           (view_.memory.seen.is_null() ? StoredConditions() : At(view_.memory.seen, {"ordered"})));

    const auto reconciled = TimeAt(status, {"reconciledAt"});
    ask_if(!reconciled);
    if (reconciled && view_.settings.resync > absl::ZeroDuration()) {
      ask(Level::kLatest, *reconciled + view_.settings.resync);
    }
    std::optional<absl::Time> refresh_at = view_.memory.refresh_at;
    // Argo CD forgets that it is to compare after an operation when it is stopped just then; a
    // stand-in does not.
    const auto finished = TimeAt(view_.state, {"finishedAt"});
    if (view_.memory.seen.is_null() && reconciled && finished && *reconciled < *finished &&
        IsCompleted(TextAt(view_.state, {"phase"})) &&
        At(view_.state, {"operation", "sync"}).is_object() &&
        !TrueAt(view_.state, {"operation", "sync", "dryRun"})) {
      refresh_at = *view_.EndedAt() + view_.settings.refresh_delay;
    }
    if (refresh_at) ask(Level::kLatest, *refresh_at);

    const absl::Time cluster_is_seen = std::max(view_.now, refresh_at.value_or(view_.now));
    const absl::Time until = ProgressesUntil();
    if (Health() == "Progressing" && until != absl::InfiniteFuture()) {
      ask(Level::kRecent, std::max(until, cluster_is_seen));
    }
    const json seen = Seen();
    if (view_.memory.seen.is_null() ? !IsAsStored(CompareNow(Level::kRecent))
                                    : seen != view_.memory.seen) {
      ask(Level::kRecent, cluster_is_seen);
    } else {
      step_.memory.seen = seen;
    }
    step_.memory.automation = {automated, heals};
    return level;
  }

  bool HasComparedSources(const json& compared_to) const {
    if (!HasSeveralSources(view_.spec)) {
      return SameSource(SourceOf(view_.spec), At(compared_to, {"source"}));
    }
    const std::vector<json> sources = SourcesOf(view_.spec);
    const json& compared = At(compared_to, {"sources"});
    if (!compared.is_array()) return false;
    return std::equal(sources.begin(), sources.end(), compared.begin(), compared.end(), SameSource);
  }

  bool IsAsStored(const Comparison& found) const {
    return TextAt(found.sync, {"status"}) == TextAt(view_.app, {"status", "sync", "status"}) &&
           found.health == TextAt(view_.app, {"status", "health", "status"});
  }

  // The message says what caused the last transition, and is not brought up to date.
  void SetHealth(const std::string& health, const std::string& message, const json& before,
                 json& status) const {
    if (TextAt(before, {"health", "status"}) == health) return;
    status["health"] = {
        {"status", health}, {"message", message}, {"lastTransitionTime", base::UtcTime(view_.now)}};
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
      condition["lastTransitionTime"] = base::UtcTime(view_.now);
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
    const json& annotations = At(view_.app, {"metadata", "annotations"});
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
    if (!patch.empty()) step_.JsonPatch(std::move(patch));
  }

  // Argo CD writes the spec as it understands it.
  void NormalizeSpec() {
    if (!view_.spec.is_object()) return;
    json spec = view_.spec;
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
    json changes = MergeDiff(view_.spec, spec);
    if (!changes.empty()) step_.MergePatch({{"spec", std::move(changes)}});
  }

  // ---- Automated syncs ----

  // Whether the Application is synced automatically, and healed.
  std::pair<bool, bool> Automation() const {
    const json& automated = At(view_.spec, {"syncPolicy", "automated"});
    const bool enabled = automated.is_object() && At(automated, {"enabled"}) != false;
    return {enabled, enabled && TrueAt(automated, {"selfHeal"})};
  }

  // An operation that nobody asked for. Gantry's are told by their info.
  bool LastWasAutomated() const {
    return TrueAt(view_.state, {"operation", "initiatedBy", "automated"}) &&
           !IsFilledArray(At(view_.state, {"operation", "info"}));
  }

  // Whether the last operation was to these revisions of the sources that the spec has.
  bool WasAttempted(const Revisions& wanted) const {
    if (!view_.state.is_object()) return false;
    const json& result = At(view_.state, {"syncResult"});
    if (!result.is_object()) return IsCompleted(TextAt(view_.state, {"phase"}));
    const Revisions last = RevisionsOf(result);
    return last.several == wanted.several && last.revisions == wanted.revisions &&
           std::equal(last.sources.begin(), last.sources.end(), wanted.sources.begin(),
                      wanted.sources.end(), SameSource);
  }

  void SyncAutomatically(const Comparison& found, const json& before, json& conditions) {
    const auto [automated, heals] = Automation();
    const bool succeeded = TextAt(view_.state, {"phase"}) == kSucceeded;
    const bool ordered = view_.orders.self_heal && succeeded && !LastWasAutomated() &&
                         IsWholeSync(At(view_.state, {"operation"}));
    if (!automated && !ordered) return;
    if (!At(view_.app, {"operation"}).is_null()) return;
    if (TextAt(found.sync, {"status"}) != "OutOfSync") return;
    Revisions wanted = RevisionsOf({{"source", At(found.sync, {"comparedTo", "source"})},
                                    {"sources", At(found.sync, {"comparedTo", "sources"})},
                                    {"revision", At(found.sync, {"revision"})},
                                    {"revisions", At(found.sync, {"revisions"})}});
    if (!WasAttempted(wanted)) return BeginAutomatedSync(wanted, 0, {}, before);
    if (!succeeded) {
      const json& result = At(view_.state, {"syncResult"});
      conditions.push_back(
          {{"type", "SyncError"},
           {"message",
            base::StrCat(
                "Failed last sync attempt to [",
                result.is_object() ? absl::StrJoin(RevisionsOf(result).revisions, " ") : "",
                "]: ", TextAt(view_.state, {"message"}))}});
      return;
    }
    if (!heals && !ordered) return;
    const int healed = NumberAt(view_.state, {"operation", "sync", "autoHealAttemptsCount"}, 0);
    const absl::Duration delay =
        healed <= 0 ? absl::ZeroDuration()
                    : std::min(kHealDelay * std::pow(kHealFactor, healed - 1), kMaxHealDelay);
    const absl::Time due = view_.EndedAt().value_or(view_.now) + delay;
    if (view_.now < due) {
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

  // One write of the whole Application, refused when somebody else wrote.
  void BeginAutomatedSync(const Revisions& target, int heal_attempts, const json& resources,
                          json status) {
    status.erase("operationState");
    json patch = json::array();
    const std::string version = TextAt(view_.app, {"metadata", "resourceVersion"});
    if (!version.empty()) {
      patch.push_back(
          {{"op", "replace"}, {"path", "/metadata/resourceVersion"}, {"value", version}});
    }
    patch.push_back({{"op", "add"},
                     {"path", "/operation"},
                     {"value", AutomatedOperation(view_.spec, target, heal_attempts, resources)}});
    patch.push_back({{"op", "add"}, {"path", "/status"}, {"value", std::move(status)}});
    step_.JsonPatch(std::move(patch));
    step_.what = "; began an automated sync";
  }

  const ApplicationView& view_;
  Step& step_;
};

}  // namespace

void CompareIfDue(const ApplicationView& view, Step& step) { ComparisonStep(view, step).Compare(); }

}  // namespace gantry::argocd_standin
