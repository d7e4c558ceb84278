// SPDX-License-Identifier: Apache-2.0
#include "server/steps/resolve.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/kubernetes/api/error.h"

namespace gantry::steps {
namespace {

using Applications = std::vector<cache::LiveApplication>;

// Puts Applications together of which several selections may have the same ones.
class Collector {
 public:
  // An Application that was read twice is decided on once, by its first read.
  void AddEntry(const Applications& found) {
    std::vector<std::size_t>& entry = resolution_.entries.emplace_back();
    for (const cache::LiveApplication& live : found) {
      const auto [place, added] =
          places_.emplace(live.application->name, resolution_.applications.size());
      if (added) resolution_.applications.push_back(live);
      entry.push_back(place->second);
    }
  }
  // The first refusal counts.
  void Refuse(v1::StepReason reason, std::string message) {
    if (!resolution_.refusal) resolution_.refusal = {reason, std::move(message)};
  }
  bool refused() const { return static_cast<bool>(resolution_.refusal); }
  Resolution Take() && { return std::move(resolution_); }

 private:
  Resolution resolution_;
  std::map<argocd::ApplicationName, std::size_t> places_;
};

// What is asked of the API server: what several entries ask for is read once.
struct Query {
  std::string ns, name, selector;
  auto operator<=>(const Query&) const = default;
};
Query QueryOf(const ApplicationSelection& selection) {
  return {selection.ns, selection.name, selection.label_selector};
}

absl::StatusOr<Applications> Read(cache::ApplicationClient& client, const Query& query,
                                  base::Context& context) {
  if (query.name.empty()) return client.List(query.ns, query.selector, context);
  absl::StatusOr<cache::LiveApplication> read = client.Get({query.ns, query.name}, context);
  if (!read.ok()) return read.status();
  return Applications{*std::move(read)};
}

using Reads = std::map<Query, absl::StatusOr<Applications>>;

bool IsMissing(const absl::Status& status) {
  return kubernetes::KindOf(status) == kubernetes::ErrorKind::kNotFound;
}

// An Application that is missing is a verdict; any other error ends the step.
absl::StatusOr<Reads> ReadAll(cache::ApplicationClient& client, base::WorkerPool& helpers,
                              const Scope& scope,
                              const std::vector<ApplicationSelection>& selections,
                              base::Context& context) {
  std::vector<Query> queries;
  for (const ApplicationSelection& selection : selections) {
    Query query = QueryOf(selection);
    if (scope.Serves(selection.ns) &&
        std::find(queries.begin(), queries.end(), query) == queries.end()) {
      queries.push_back(std::move(query));
    }
  }
  std::vector<absl::StatusOr<Applications>> reads(queries.size(), absl::InternalError("not read"));
  base::ParallelFor(helpers, queries.size(), [&](std::size_t i) {
    reads[i] = Read(client, queries[i], context);
    return reads[i].ok() || IsMissing(reads[i].status());
  });
  Reads by_query;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const absl::Status& status = reads[i].status();
    if (!status.ok() && !absl::IsInternal(status) && !IsMissing(status)) return status;
    by_query.emplace(std::move(queries[i]), std::move(reads[i]));
  }
  return by_query;
}

void RefuseUnserved(const ApplicationSelection& selection, Collector& collector) {
  const bool by_name = !selection.name.empty();
  collector.Refuse(
      by_name ? v1::STEP_REASON_APPLICATION_NOT_FOUND : v1::STEP_REASON_NO_APPLICATION_MATCHED,
      base::StrCat("namespace ", selection.ns, " of ",
                   by_name ? base::StrCat("Application ", selection.ns, "/", selection.name)
                           : base::StrCat("selector ", selection.label_selector),
                   " is not watched by this server (--watch-namespaces)"));
}

}  // namespace

bool Scope::Serves(const std::string& ns) const {
  return served_namespaces.empty() || std::find(served_namespaces.begin(), served_namespaces.end(),
                                                ns) != served_namespaces.end();
}

std::vector<ApplicationSelection> WithNamespaces(std::vector<ApplicationSelection> selections,
                                                 const Scope& scope) {
  for (ApplicationSelection& selection : selections) {
    if (selection.ns.empty()) selection.ns = scope.default_namespace;
  }
  return selections;
}

absl::StatusOr<Resolution> Resolve(cache::ApplicationClient& client, base::WorkerPool& helpers,
                                   const Scope& scope,
                                   const std::vector<ApplicationSelection>& selections,
                                   base::Context& context) {
  const absl::StatusOr<Reads> reads = ReadAll(client, helpers, scope, selections, context);
  if (!reads.ok()) return reads.status();
  // The message about those that are missing names all of them.
  std::vector<std::string> missing;
  for (const ApplicationSelection& selection : selections) {
    const auto read = reads->find(QueryOf(selection));
    if (read != reads->end() && !read->second.ok()) {
      missing.push_back(base::StrCat(selection.ns, "/", selection.name));
    }
  }
  Collector collector;
  for (const ApplicationSelection& selection : selections) {
    const auto read = reads->find(QueryOf(selection));
    if (read == reads->end()) {
      RefuseUnserved(selection, collector);
    } else if (!read->second.ok()) {
      collector.Refuse(v1::STEP_REASON_APPLICATION_NOT_FOUND,
                       base::StrCat(missing.size() == 1 ? "Application " : "Applications ",
                                    base::FirstThree(missing), " not found"));
    } else {
      if (read->second->empty()) {
        collector.Refuse(v1::STEP_REASON_NO_APPLICATION_MATCHED,
                         base::StrCat("no Application in namespace ", selection.ns,
                                      " matches the selector ", selection.label_selector));
      }
      collector.AddEntry(*read->second);
    }
  }
  return std::move(collector).Take();
}

std::optional<Resolution> ResolveFromCache(const cache::Caches& caches, const Scope& scope,
                                           const std::vector<ApplicationSelection>& selections) {
  Collector collector;
  for (const ApplicationSelection& selection : selections) {
    if (!scope.Serves(selection.ns) || !caches.IsFresh(selection.ns)) return std::nullopt;
    Applications found;
    if (!selection.name.empty()) {
      if (auto application = caches.applications.Find({selection.ns, selection.name})) {
        found.push_back({std::move(application), {}});
      }
    } else {
      const auto in_namespace = [&](const argocd::ApplicationName& name) {
        return name.ns == selection.ns;
      };
      for (const auto& application : caches.applications.From({selection.ns, ""}, in_namespace)) {
        if (Matches(selection, *application)) found.push_back({application, {}});
      }
    }
    const auto not_understood = [](const cache::LiveApplication& live) {
      return !live.application->problem.empty();
    };
    if (found.empty() || std::any_of(found.begin(), found.end(), not_understood)) {
      return std::nullopt;
    }
    collector.AddEntry(found);
  }
  return std::move(collector).Take();
}

bool Matches(const ApplicationSelection& selection, const argocd::Application& application) {
  return MatchesLabels(selection.criteria,
                       [&](const std::string& key) { return argocd::FindLabel(application, key); });
}

}  // namespace gantry::steps
