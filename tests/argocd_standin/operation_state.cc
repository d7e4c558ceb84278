// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/operation_state.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/text.h"
#include "tests/argocd_standin/argo_types.h"
#include "tests/argocd_standin/json_access.h"

namespace gantry::argocd_standin {

using nlohmann::json;

namespace {

constexpr int kDefaultHistoryLimit = 10;

// Begins again at the smallest after the largest, as integers do in Go.
std::int64_t After(std::int64_t id) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(id) + 1);
}

}  // namespace

bool IsCompleted(std::string_view phase) {
  return phase == kSucceeded || phase == kFailed || phase == kError;
}

bool HasSeveralSources(const json& spec) {
  return !At(spec, {"sourceHydrator"}).is_object() && IsFilledArray(At(spec, {"sources"}));
}

json SourceOf(const json& spec) {
  const json& hydrator = At(spec, {"sourceHydrator"});
  if (hydrator.is_object()) {
    const std::string own = TextAt(hydrator, {"syncSource", "repoURL"});
    return WrittenSource(
        {{"repoURL", own.empty() ? TextAt(hydrator, {"drySource", "repoURL"}) : own},
         {"path", TextAt(hydrator, {"syncSource", "path"})},
         {"targetRevision", TextAt(hydrator, {"syncSource", "targetBranch"})}});
  }
  if (HasSeveralSources(spec)) return WrittenSource(spec.at("sources").front());
  return WrittenSource(At(spec, {"source"}));
}

std::vector<json> SourcesOf(const json& spec) {
  if (!HasSeveralSources(spec)) return {SourceOf(spec)};
  std::vector<json> sources;
  for (const json& source : spec.at("sources")) sources.push_back(WrittenSource(source));
  return sources;
}

json NewOperationState(const json& operation, absl::Time now) {
  return WrittenOperationState(
      {{"operation", operation}, {"phase", kRunning}, {"startedAt", base::UtcTime(now)}});
}

json NewSyncResult(const json& spec, const json& operation) {
  const json& sync = At(operation, {"sync"});
  const json& source = At(sync, {"source"});
  const json& sources = At(sync, {"sources"});
  json result = {{"revision", At(sync, {"revision"})}, {"revisions", At(sync, {"revisions"})}};
  if (source.is_object() || IsFilledArray(sources)) {
    result["source"] = source;
    result["sources"] = sources;
  } else {
    result["source"] = SourceOf(spec);
    if (HasSeveralSources(spec)) result["sources"] = SourcesOf(spec);
  }
  return WrittenOperationState({{"syncResult", std::move(result)}}).at("syncResult");
}

bool IsWholeSync(const json& operation) {
  const json& sync = At(operation, {"sync"});
  return sync.is_object() && !TrueAt(sync, {"dryRun"}) && !IsFilledArray(At(sync, {"resources"}));
}

json HistoryWith(const json& application, const json& state, absl::Time now) {
  json history = WrittenStatus(At(application, {"status"})).value("history", json::array());
  const json& result = At(state, {"syncResult"});
  json entry = {{"deployedAt", base::UtcTime(now)},
                {"deployStartedAt", At(state, {"startedAt"})},
                {"id", history.empty() ? 0 : After(history.back().at("id").get<std::int64_t>())},
                {"initiatedBy", At(state, {"operation", "initiatedBy"})}};
  if (IsFilledArray(At(result, {"sources"}))) {
    entry["sources"] = result.at("sources");
    entry["revisions"] = At(result, {"revisions"});
  } else {
    entry["source"] = At(result, {"source"});
    entry["revision"] = At(result, {"revision"});
  }
  history.push_back(WrittenHistoryEntry(entry));

  const json& given = At(application, {"spec", "revisionHistoryLimit"});
  const auto limit =
      given.is_number_integer() ? given.get<std::int64_t>() : std::int64_t{kDefaultHistoryLimit};
  const auto kept = std::clamp<std::int64_t>(limit, 0, static_cast<std::int64_t>(history.size()));
  history.erase(history.begin(), history.end() - kept);
  return history;
}

}  // namespace gantry::argocd_standin
