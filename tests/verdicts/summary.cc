// SPDX-License-Identifier: Apache-2.0
#include "tests/verdicts/summary.h"

#include <set>
#include <string_view>

#include "absl/strings/str_format.h"

namespace gantry::verdicts {
namespace {

using nlohmann::json;

// The sentences by which a verdict on one Application is told, and a word for each.
constexpr std::pair<std::string_view, std::string_view> kSentences[] = {
    {" was done before, as recorded", "done: recorded"},
    {" was synced to what is desired after our attempt", "done: self-healed"},
    {" was synced", "done: synced"},
    {" is being deleted", "deleting"},
    {"waiting for the operation on", "own operation"},
    {" has an operation started by", "other operation"},
    {" starts no earlier than", "awaits its retry"},
    {"started the sync of", "written"},
    {" is to be synced, attempt", "dry run, to be written"},
    {"so Argo CD would never work on an operation", "reconcile disabled"},
    {"puts it back", "put back"},
    {" attempts were made)", "attempts exhausted"},
    {" did not reach what is desired", "not reached"},
    {"the operation on Application", "operation failed"},
    {" could not be understood", "wait: not understood"},
    {" has an operation that is not complete", "wait: operation"},
    {" has not been reconciled since", "wait: not reconciled"},
    {" has the condition ", "wait: condition"},
    {" became Degraded", "wait: regressed"},
    {" is as awaited", "wait: ready"},
    {"waiting for it to be Synced", "wait: sync"},
    {"waiting for it to be ", "wait: health"},
    {"was ready before, as recorded", "wait: recorded"},
    {"does not name", "not named by the annotation"},
    {"has no annotation", "no annotation"},
    {"has the malformed entry", "malformed annotation"},
};

void AddHealth(const json& health, const std::string& prefix, std::set<std::string>& seen) {
  if (health.is_object()) seen.insert(prefix + health.value("state", "HEALTH_STATE_UNSPECIFIED"));
}

void AddResponse(const json& response, const std::string& uses, std::set<std::string>& seen) {
  seen.insert("reason " + response.value("reason", "STEP_REASON_UNSPECIFIED"));
  seen.insert(uses + " " + response.value("status", "?") + " " +
              response.value("reason", "STEP_REASON_UNSPECIFIED"));
  if (!response.contains("applications")) return;
  for (const json& outcome : response["applications"]) {
    seen.insert("action " + outcome.value("action", "ACTION_UNSPECIFIED"));
    const std::string message = outcome.value("message", "");
    for (const auto& [sentence, word] : kSentences) {
      if (message.find(sentence) == std::string::npos) continue;
      seen.insert("verdict " + std::string(word));
      break;
    }
  }
}

}  // namespace

void Summary::Add(const json& verdicts) {
  std::set<std::string> seen;
  for (const json& call : verdicts["calls"]) {
    if (call.contains("response")) {
      AddResponse(call["response"], call["uses"], seen);
    } else {
      const std::string error = call["error"];
      seen.insert("error " + error.substr(0, error.find(':')));
    }
    if (call.contains("health")) AddHealth(call["health"], "health ", seen);
    if (call.contains("fault")) seen.insert("with a fault");
    if (call.contains("watchesLag")) seen.insert("with watches that lag");
  }
  if (verdicts.contains("healthByChecks")) {
    AddHealth(verdicts["healthByChecks"], "health by checks ", seen);
  }
  for (const std::string& what : seen) ++cases_[what];
  ++all_;
}

std::string Summary::Table() const {
  std::string table = absl::StrFormat("%6d  cases, and how many of them had\n", all_);
  for (const auto& [what, cases] : cases_) absl::StrAppendFormat(&table, "%6d  %s\n", cases, what);
  return table;
}

}  // namespace gantry::verdicts
