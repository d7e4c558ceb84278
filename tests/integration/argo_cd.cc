// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/argo_cd.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/text.h"
#include "tests/argocd_standin/operation_state.h"

namespace gantry::integration {

using nlohmann::json;

std::string SecondsAgo(int seconds) { return base::UtcTime(absl::Now() - absl::Seconds(seconds)); }

void ArgoCd::TakeUp(const std::string& message) {
  const json application = api_.Get(path_);
  if (!application.contains("operation")) GiveUp(path_ + ": no operation is requested");
  // Argo CD cannot store a state before its first comparison has written a status.
  if (!application.contains("status")) {
    api_.MergePatch(path_, {{"status", {{"sync", {{"status", "OutOfSync"}}}}}});
  }
  json state = argocd_standin::NewOperationState(application.at("operation"), absl::Now());
  if (!message.empty()) {
    state["message"] = message;
    AddResult(application, {}, state);
  }
  api_.JsonPatch(
      path_, json::array({{{"op", "add"}, {"path", "/status/operationState"}, {"value", state}}}));
  // The comparison that comes with it.
  api_.MergePatch(path_,
                  {{"metadata", {{"annotations", {{"argocd.argoproj.io/refresh", nullptr}}}}}});
}

void ArgoCd::Complete(const Completion& completion) {
  const json application = api_.Get(path_);
  json state = application.at("status").at("operationState");
  state["phase"] = completion.phase;
  state["message"] = completion.message;
  state["startedAt"] = state["finishedAt"] = completion.finished_at;
  AddResult(application, completion.revisions, state);
  absl::Time finished;
  if (!absl::ParseTime(absl::RFC3339_full, completion.finished_at, &finished, nullptr)) {
    GiveUp(completion.finished_at + " is no time");
  }
  if (completion.phase == argocd_standin::kSucceeded &&
      argocd_standin::IsWholeSync(state.at("operation"))) {
    api_.MergePatch(
        path_,
        {{"status", {{"history", argocd_standin::HistoryWith(application, state, finished)}}}});
  }
  if (!completion.has_sync_result) state.erase("syncResult");
  // Of the null that Argo CD writes, its definition of Applications lets nothing be stored.
  api_.JsonPatch(path_,
                 json::array({{{"op", "add"}, {"path", "/status/operationState"}, {"value", state}},
                              {{"op", "add"}, {"path", "/operation"}, {"value", nullptr}},
                              {{"op", "remove"}, {"path", "/operation"}}}));
}

void ArgoCd::Work(const Completion& completion) {
  TakeUp();
  Complete(completion);
}

void ArgoCd::SelfHeal(const Completion& completion) {
  const json application = api_.Get(path_);
  json state = {{"operation", {{"sync", json::object()}}}};
  AddResult(application, completion.revisions, state);
  // What was compared is asked for.
  json sync = state.at("syncResult");
  if (sync.contains("sources")) {
    sync.erase("source");
    sync.erase("revision");
  }
  if (completion.revisions.empty()) {
    sync["autoHealAttemptsCount"] = 1;
    sync["resources"] = json::array({{{"group", "apps"}, {"kind", "Deployment"}, {"name", "web"}}});
  }
  api_.MergePatch(
      path_, {{"operation",
               {{"initiatedBy", {{"automated", true}}}, {"retry", {{"limit", 5}}}, {"sync", sync}}},
              {"status", {{"operationState", nullptr}}}});
  Work(completion);
}

void ArgoCd::AddResult(const json& application, const std::vector<std::string>& revisions,
                       json& state) const {
  json& result = state["syncResult"];
  result = argocd_standin::NewSyncResult(application.at("spec"), state.at("operation"));
  json resolved = revisions;
  if (revisions.empty()) {
    resolved = json::array();
    for (const json& source : argocd_standin::SourcesOf(application.at("spec"))) {
      resolved.push_back(source.value("targetRevision", ""));
    }
  }
  if (result.contains("sources")) {
    result["revisions"] = resolved;
  } else {
    result["revision"] = resolved.at(0);
  }
}

}  // namespace gantry::integration
