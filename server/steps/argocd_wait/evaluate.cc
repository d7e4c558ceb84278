// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/evaluate.h"

#include <vector>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "server/argocd/annotations.h"

namespace gantry::steps {
namespace {

using WaitKind = WaitVerdict::Kind;

constexpr std::string_view kHealthy = "Healthy";
constexpr std::string_view kSuspended = "Suspended";
constexpr std::string_view kDegraded = "Degraded";

// The rules in their order, for one Application.
class WaitRules {
 public:
  WaitRules(const argocd::Application& application, const WaitFor& wait_for,
            std::string_view previous_health)
      : app_(application),
        wait_for_(wait_for),
        previous_health_(previous_health),
        name_(ToString(application.name)) {}

  WaitVerdict Evaluate() const {
    if (!app_.problem.empty()) {
      return Verdict(WaitKind::kNotReady, " could not be understood: ", app_.problem);
    }
    if (wait_for_.operation && OperationInProgress()) {
      return Verdict(WaitKind::kNotReady, " has an operation that is not complete",
                     OperationMessage());
    }
    if (!IsReconciled()) return EvaluateUnreconciled();
    if (const std::string conditions = Conditions(); !conditions.empty()) {
      return Verdict(WaitKind::kCondition, " has ", conditions);
    }
    if (AsksForHealth() && !HasAwaitedHealth()) return EvaluateUnawaitedHealth();
    return EvaluateSync();
  }

 private:
  template <typename... Pieces>
  WaitVerdict Verdict(WaitKind kind, const Pieces&... pieces) const {
    return {.kind = kind,
            .wants_refresh = false,
            .message = base::StrCat("Application ", name_, pieces...)};
  }

  bool OperationInProgress() const {
    return app_.operation || (app_.operation_state && !app_.operation_state->finished_at);
  }

  // The state is that of an earlier operation when it is finished.
  std::string OperationMessage() const {
    if (!app_.operation_state || app_.operation_state->finished_at) return "";
    const argocd::OperationState& state = *app_.operation_state;
    return base::StrCat(state.phase.empty() ? "" : ", it is ", state.phase.view(),
                        state.message.empty() ? "" : ": ", state.message);
  }

  bool IsReconciled() const {
    if (!app_.operation_state || !app_.operation_state->finished_at) return true;
    return app_.reconciled_at && *app_.reconciled_at >= *app_.operation_state->finished_at;
  }

  // Conditions and health are from before the operation, so neither is looked at.
  WaitVerdict EvaluateUnreconciled() const {
    WaitVerdict verdict =
        AsksForHealth()
            ? Verdict(WaitKind::kNotReady, " has not been reconciled since its operation finished",
                      app_.skip_reconcile
                          ? base::StrCat("; its annotation ", argocd::kSkipReconcileAnnotation,
                                         ": \"true\" tells Argo CD not to, remove it")
                          : "")
            : EvaluateSync();
    verdict.wants_refresh = verdict.kind != WaitKind::kReady && !app_.refresh;
    return verdict;
  }

  std::string Conditions() const {
    std::vector<std::string> found;
    for (const argocd::Condition& condition : app_.conditions) {
      if (condition.type == "ComparisonError" || condition.type == "InvalidSpecError") {
        found.push_back(
            base::StrCat("the condition ", condition.type.view(), ": ", condition.message));
      }
    }
    return absl::StrJoin(found, "; ");
  }

  bool AsksForHealth() const {
    return wait_for_.health || wait_for_.suspended || wait_for_.degraded;
  }

  bool HasAwaitedHealth() const {
    return (wait_for_.health && app_.health_status == kHealthy) ||
           (wait_for_.suspended && app_.health_status == kSuspended) ||
           (wait_for_.degraded && app_.health_status == kDegraded);
  }

  // A step that awaits `degraded` besides `health` never comes here with a Degraded Application:
  // Degraded is one of the ends it asked for, so it is ready then and nothing has regressed.
  WaitVerdict EvaluateUnawaitedHealth() const {
    const std::string explanation =
        app_.health_message.empty() ? "" : base::StrCat(": ", app_.health_message);
    const bool was_better =
        !previous_health_.empty() && previous_health_ != kDegraded && previous_health_ != "Unknown";
    if (wait_for_.health && app_.health_status == kDegraded && was_better) {
      return Verdict(WaitKind::kRegressed, " became ", kDegraded, " from ", previous_health_,
                     " while its health was awaited", explanation);
    }
    std::vector<std::string> awaited;
    if (wait_for_.health) awaited.emplace_back(kHealthy);
    if (wait_for_.suspended) awaited.emplace_back(kSuspended);
    if (wait_for_.degraded) awaited.emplace_back(kDegraded);
    return Verdict(
        WaitKind::kNotReady, " is ",
        app_.health_status.empty() ? "without a health assessment" : app_.health_status.view(),
        ", waiting for it to be ", absl::StrJoin(awaited, " or "), explanation);
  }

  WaitVerdict EvaluateSync() const {
    if (wait_for_.sync && app_.sync_status != "Synced") {
      return Verdict(
          WaitKind::kNotReady, " is ",
          app_.sync_status.empty() ? "not compared with its sources yet" : app_.sync_status.view(),
          ", waiting for it to be Synced");
    }
    return Verdict(WaitKind::kReady, " is as awaited");
  }

  const argocd::Application& app_;
  const WaitFor& wait_for_;
  const std::string_view previous_health_;
  const std::string name_;
};

}  // namespace

WaitVerdict EvaluateWait(const argocd::Application& application, const WaitFor& wait_for,
                         std::string_view previous_health) {
  return WaitRules(application, wait_for, previous_health).Evaluate();
}

}  // namespace gantry::steps
