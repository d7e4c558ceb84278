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

absl::Status Parse(simdjson::padded_string_view body, argocd::Application& application) {
  absl::StatusOr<argocd::Application> parsed = argocd::ParseApplication(body);
  if (!parsed.ok()) return parsed.status();
  application = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status Parse(simdjson::padded_string_view body, argocd::ObservedApplication& application) {
  if (absl::Status read = argocd::ObserveApplication(body, application); !read.ok()) return read;
  if (application.problem.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(base::StrCat("the Application ", ToString(application.name),
                                                 " can't be understood: ", application.problem));
}

template <typename Application>
using Applications = std::vector<std::shared_ptr<const Application>>;

template <typename Application>
absl::Status ParseInto(simdjson::padded_string_view body, Applications<Application>& applications) {
  auto application = std::make_shared<Application>();
  if (absl::Status parsed = Parse(body, *application); !parsed.ok()) {
    return kubernetes::WhyUnreadable(body, std::move(parsed));
  }
  applications.push_back(std::move(application));
  return absl::OkStatus();
}

template <typename Application>
absl::StatusOr<Applications<Application>> ReadOne(kubernetes::Client& client, const std::string& ns,
                                                  const std::string& name, base::Context& context) {
  const absl::StatusOr<kubernetes::JsonText> body = client.Get(kApplications, ns, name, context);
  if (!body.ok()) return body.status();
  Applications<Application> found;
  if (absl::Status parsed = ParseInto(body->padded(), found); !parsed.ok()) return parsed;
  return found;
}

template <typename Application>
absl::StatusOr<Applications<Application>> ReadMatching(kubernetes::Client& client,
                                                       const std::string& ns,
                                                       const std::string& selector,
                                                       base::Context& context) {
  Applications<Application> found;
  kubernetes::ListOptions options;
  options.label_selector = selector;
  const absl::StatusOr<std::string> listed = client.List(
      kApplications, ns, options,
      [&](simdjson::padded_string_view item) { return ParseInto(item, found); },
      [&] { found.clear(); }, context);
  if (!listed.ok()) return listed.status();
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a->name < b->name; });
  return found;
}

}  // namespace

bool Scope::Serves(const std::string& ns) const {
  return served_namespaces.empty() || std::find(served_namespaces.begin(), served_namespaces.end(),
                                                ns) != served_namespaces.end();
}

template <typename Application>
absl::StatusOr<Resolution<Application>> Resolve(kubernetes::Client& client,
                                                base::WorkerPool& helpers, const Scope& scope,
                                                const std::vector<ApplicationSelection>& selections,
                                                base::Context& context) {
  // What several entries ask for is read once.
  struct Query {
    std::string ns, name, selector;
    auto operator<=>(const Query&) const = default;
  };
  std::vector<Query> asked;
  std::map<Query, std::size_t> place;
  std::vector<Query> queries;
  for (const ApplicationSelection& selection : selections) {
    asked.push_back({selection.ns.empty() ? scope.default_namespace : selection.ns, selection.name,
                     selection.label_selector});
    if (scope.Serves(asked.back().ns) && place.emplace(asked.back(), queries.size()).second) {
      queries.push_back(asked.back());
    }
  }

  std::vector<absl::StatusOr<Applications<Application>>> answers(queries.size(),
                                                                 absl::InternalError("not read"));
  base::ParallelFor(helpers, queries.size(), [&](std::size_t i) {
    const Query& query = queries[i];
    answers[i] = query.name.empty()
                     ? ReadMatching<Application>(client, query.ns, query.selector, context)
                     : ReadOne<Application>(client, query.ns, query.name, context);
    // An Application that is missing is a verdict; anything else ends the step.
    return answers[i].ok() ||
           kubernetes::KindOf(answers[i].status()) == kubernetes::ErrorKind::kNotFound;
  });
  for (const auto& answer : answers) {
    if (!answer.ok() && !absl::IsInternal(answer.status()) &&
        kubernetes::KindOf(answer.status()) != kubernetes::ErrorKind::kNotFound) {
      return answer.status();
    }
  }

  Resolution<Application> resolution;
  std::map<argocd::ApplicationName, std::shared_ptr<const Application>> known;
  std::vector<std::string> missing;
  for (const Query& query : asked) {
    auto& found = resolution.applications.emplace_back();
    if (!scope.Serves(query.ns)) {
      if (!resolution.refusal) {
        resolution.refusal = {
            query.name.empty() ? v1::STEP_REASON_NO_APPLICATION_MATCHED
                               : v1::STEP_REASON_APPLICATION_NOT_FOUND,
            base::StrCat("namespace ", query.ns, " of ",
                         query.name.empty()
                             ? base::StrCat("selector ", query.selector)
                             : base::StrCat("Application ", query.ns, "/", query.name),
                         " is not watched by this server (--watch-namespaces)")};
      }
      continue;
    }
    const auto& answer = answers[place.at(query)];
    if (!answer.ok()) {
      missing.push_back(base::StrCat(query.ns, "/", query.name));
      if (!resolution.refusal) resolution.refusal.reason = v1::STEP_REASON_APPLICATION_NOT_FOUND;
      continue;
    }
    if (answer->empty() && !resolution.refusal) {
      resolution.refusal = {v1::STEP_REASON_NO_APPLICATION_MATCHED,
                            base::StrCat("no Application in namespace ", query.ns,
                                         " matches the selector ", query.selector)};
    }
    // An Application read twice is decided on once, by its first read.
    for (const auto& application : *answer) {
      found.push_back(known.emplace(application->name, application).first->second);
    }
  }
  if (resolution.refusal && resolution.refusal.message.empty()) {
    resolution.refusal.message =
        base::StrCat(missing.size() == 1 ? "Application " : "Applications ",
                     base::FirstThree(missing), " not found");
  }
  return resolution;
}

template absl::StatusOr<Resolution<argocd::Application>> Resolve(
    kubernetes::Client& client, base::WorkerPool& helpers, const Scope& scope,
    const std::vector<ApplicationSelection>& selections, base::Context& context);
template absl::StatusOr<Resolution<argocd::ObservedApplication>> Resolve(
    kubernetes::Client& client, base::WorkerPool& helpers, const Scope& scope,
    const std::vector<ApplicationSelection>& selections, base::Context& context);

std::optional<Resolution<argocd::ObservedApplication>> ResolveFromCache(
    const cache::Caches& caches, const Scope& scope,
    const std::vector<ApplicationSelection>& selections) {
  Resolution<argocd::ObservedApplication> resolution;
  for (const ApplicationSelection& selection : selections) {
    const std::string& ns = selection.ns.empty() ? scope.default_namespace : selection.ns;
    auto& found = resolution.applications.emplace_back();
    if (!scope.Serves(ns) || !caches.IsFresh(ns)) return std::nullopt;
    if (!selection.name.empty()) {
      cache::CachedApplicationPtr application = caches.applications.Find({ns, selection.name});
      if (application != nullptr) found.push_back(std::move(application));
    } else {
      const auto all = caches.applications.From(
          {ns, ""}, [&](const argocd::ApplicationName& name) { return name.ns == ns; });
      for (const cache::CachedApplicationPtr& application : all) {
        const auto value_of = [&](const std::string& key) -> std::optional<std::string_view> {
          for (const auto& [label, value] : application->labels) {
            if (label == std::string_view(key)) return value.view();
          }
          return std::nullopt;
        };
        if (MatchesLabels(selection.criteria, value_of)) found.push_back(application);
      }
    }
    if (found.empty()) return std::nullopt;
    for (const auto& application : found) {
      if (!application->problem.empty()) return std::nullopt;
    }
  }
  return resolution;
}

}  // namespace gantry::steps
