// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/argo_cd.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace gantry::integration {

using nlohmann::json;

std::string SecondsAgo(int seconds) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now() - absl::Seconds(seconds),
                          absl::UTCTimeZone());
}

void ArgoCd::TakeUp(const std::string& message) {
  const json application = api_.Get(path_);
  if (!application.contains("operation")) GiveUp(path_ + ": no operation is requested");
  json state = {{"operation", application.at("operation")},
                {"phase", "Running"},
                {"startedAt", SecondsAgo(0)}};
  if (!message.empty()) state["message"] = message;
  api_.MergePatch(path_,
                  {{"status", {{"operationState", state}}},
                   {"metadata", {{"annotations", {{"argocd.argoproj.io/refresh", nullptr}}}}}});
}

void ArgoCd::Complete(const Completion& completion) {
  const json application = api_.Get(path_);
  const json& state = application.at("status").at("operationState");
  api_.MergePatch(
      path_,
      {{"operation", nullptr},
       {"status",
        {{"operationState", CompletedState(application, state.at("operation"), completion)}}}});
}

void ArgoCd::Work(const Completion& completion) {
  TakeUp();
  Complete(completion);
}

void ArgoCd::SelfHeal(const Completion& completion) {
  const json application = api_.Get(path_);
  const json operation = {{"initiatedBy", {{"automated", true}}}, {"sync", json::object()}};
  api_.MergePatch(path_, {{"status", {{"operationState", nullptr}}}});
  api_.MergePatch(
      path_,
      {{"status", {{"operationState", CompletedState(application, operation, completion)}}}});
}

json ArgoCd::CompletedState(const json& application, const json& operation,
                            const Completion& completion) {
  json state = {{"operation", operation},
                {"phase", completion.phase},
                {"message", completion.message},
                {"startedAt", completion.finished_at},
                {"finishedAt", completion.finished_at}};
  if (!completion.has_sync_result) return state;

  const json& spec = application.at("spec");
  const bool several = spec.contains("sources");
  const json sources = several ? spec.at("sources") : json::array({spec.at("source")});
  json revisions = completion.revisions;
  if (completion.revisions.empty()) {
    revisions = json::array();
    for (const json& source : sources) revisions.push_back(source.at("targetRevision"));
  }
  json& result = state["syncResult"] = {{"resources", json::array()}};
  if (several) {
    // Argo CD writes the fields of a single source even then.
    result["revision"] = "";
    result["source"] = {{"repoURL", ""}};
    result["revisions"] = revisions;
    result["sources"] = sources;
  } else {
    result["revision"] = revisions.at(0);
    result["source"] = sources.at(0);
  }
  return state;
}

}  // namespace gantry::integration
