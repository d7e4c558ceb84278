// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "server/argocd/annotations.h"
#include "tests/argocd_standin/application_view.h"
#include "tests/argocd_standin/comparison.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/operation.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

// What Go makes of it as a boolean.
bool IsTrue(const std::string& text) {
  static constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  return std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end();
}

// Nothing was deployed, so there is nothing to delete before the Application goes.
void ReleaseDeleted(const ApplicationView& view, Step& step) {
  const json& finalizers = At(view.app, {"metadata", "finalizers"});
  if (!finalizers.is_array()) return;
  json rest = json::array();
  for (const json& finalizer : finalizers) {
    if (!finalizer.is_string() ||
        !absl::StrContains(finalizer.get<std::string>(), "argocd.argoproj.io")) {
      rest.push_back(finalizer);
    }
  }
  if (rest.size() == finalizers.size()) return;
  step.MergePatch({{"metadata", {{"finalizers", rest}}}});
  step.what = "let the Application be deleted";
}

// Nobody has ever asked for an operation, and none is known.
bool IsNew(const ApplicationView& view) {
  return At(view.app, {"operation"}).is_null() && view.state.is_null() &&
         At(view.app, {"status", "history"}).empty();
}

}  // namespace

Step NextStep(const json& application, const Memory& memory, absl::Time now,
              const Settings& settings) {
  const ApplicationView view(application, memory, now, settings);
  Step step;
  step.memory = memory;
  const json& status = At(application, {"status"});
  if (!application.is_object() || !(status.is_object() || status.is_null())) return step;
  step.memory.applied = view.applied;
  if (!At(application, {"metadata", "deletionTimestamp"}).is_null()) {
    // An operation that was asked for comes first.
    if (At(application, {"operation"}).is_object()) {
      WorkOnOperation(view, step);
    } else {
      ReleaseDeleted(view, step);
    }
    return step;
  }
  if (IsTrue(view.Annotation(argocd::kSkipReconcileAnnotation))) {
    // What is in progress goes on all the same, and is followed by its comparison.
    if (view.InProgress() && memory.attempt_began) WorkOnOperation(view, step);
    if (step.writes.empty() && memory.refresh_at) CompareIfDue(view, step);
    return step;
  }
  if (view.orders.deployed && IsNew(view)) {
    CountAsDeployed(view, step);
    return step;
  }
  WorkOnOperation(view, step);
  if (step.writes.empty()) CompareIfDue(view, step);
  return step;
}

}  // namespace gantry::argocd_standin
