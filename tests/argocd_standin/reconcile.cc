// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "server/base/strings.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr std::size_t kCommitLength = 40;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

json Get(const json& object, const char* key) {
  return object.is_object() ? object.value(key, json()) : json();
}

std::string Text(const json& object, const char* key) {
  const json value = Get(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

std::string Resolve(const json& source) {
  // A chart's version is what it is; git revisions become commits.
  const std::string revision = Text(source, "targetRevision");
  return Text(source, "chart").empty() ? ResolveRevision(revision) : revision;
}

// What is compared and deployed: {"revision", "source"} or {"revisions", "sources"}.
json Deployed(const json& spec) {
  const json sources = Get(spec, "sources");
  if (!sources.is_array() || sources.empty()) {
    const json source = Get(spec, "source");
    return {{"revision", Resolve(source)}, {"source", source}};
  }
  json revisions = json::array();
  for (const json& source : sources) revisions.push_back(Resolve(source));
  return {{"revisions", std::move(revisions)}, {"sources", sources}};
}

json Complete(const json& application, absl::Time now) {
  json state = application["status"]["operationState"];
  const json deployed = Deployed(Get(application, "spec"));
  state["phase"] = "Succeeded";
  state["message"] = "successfully synced (all tasks run)";
  state["finishedAt"] = TimeText(now);
  state["syncResult"] = deployed;
  json sync = {{"status", "Synced"}, {"comparedTo", deployed}};
  sync["comparedTo"].erase("revision");
  sync["comparedTo"].erase("revisions");
  for (const char* key : {"revision", "revisions"}) {
    if (deployed.contains(key)) sync[key] = deployed[key];
  }
  // The next comparison begins after the operation has finished.
  return {{"metadata", {{"annotations", {{"argocd.argoproj.io/refresh", nullptr}}}}},
          {"operation", nullptr},
          {"status",
           {{"operationState", std::move(state)},
            {"sync", std::move(sync)},
            {"health", {{"status", "Healthy"}}},
            {"reconciledAt", TimeText(now + absl::Seconds(1))}}}};
}

}  // namespace

std::string ResolveRevision(std::string_view target_revision) {
  const bool is_commit = target_revision.size() == kCommitLength &&
                         std::all_of(target_revision.begin(), target_revision.end(),
                                     [](unsigned char c) { return absl::ascii_isxdigit(c); });
  if (is_commit) return std::string(target_revision);
  // FNV-1a over the name, stretched: any function will do that gives everybody the same answer.
  std::string commit;
  std::uint64_t hash = 14695981039346656037ULL;
  while (commit.size() < kCommitLength) {
    for (const unsigned char c : target_revision) hash = (hash ^ c) * 1099511628211ULL;
    hash = (hash ^ commit.size()) * 1099511628211ULL;
    base::StrAppend(&commit, absl::Hex(hash, absl::kZeroPad16));
  }
  return commit.substr(0, kCommitLength);
}

std::optional<json> NextPatch(const json& application, absl::Time now,
                              absl::Duration sync_duration) {
  const json operation = Get(application, "operation");
  if (!operation.is_object()) return std::nullopt;
  const json state = Get(Get(application, "status"), "operationState");
  json patch;
  absl::Time started;
  if (Get(state, "operation") != operation || Text(state, "phase") != "Running" ||
      !absl::ParseTime(absl::RFC3339_full, Text(state, "startedAt"), &started, nullptr)) {
    patch = {{"status",
              {{"operationState",
                {{"phase", "Running"},
                 {"message", "waiting for healthy state of apps/Deployment/web"},
                 {"operation", operation},
                 {"startedAt", TimeText(now)},
                 {"finishedAt", nullptr},
                 {"syncResult", nullptr}}},
               {"health", {{"status", "Progressing"}}}}}};
  } else if (now >= started + sync_duration) {
    patch = Complete(application, now);
  } else {
    return std::nullopt;
  }
  patch["metadata"]["resourceVersion"] = application.at("metadata").at("resourceVersion");
  return patch;
}

}  // namespace gantry::argocd_standin
