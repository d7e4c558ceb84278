// SPDX-License-Identifier: Apache-2.0
#include "server/steps/resolve.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_join.h"
#include "server/base/strings.h"
#include "server/kubernetes/error.h"

namespace gantry::steps {
namespace {

absl::StatusOr<std::vector<ApplicationPtr>> ReadOne(kubernetes::Client& client,
                                                    const std::string& ns, const std::string& name,
                                                    base::Context& context) {
  const absl::StatusOr<std::string> body = client.Get(kApplications, ns, name, context);
  if (!body.ok()) return body.status();
  absl::StatusOr<argocd::Application> application = argocd::ParseApplication(*body);
  if (!application.ok()) return application.status();
  return std::vector{std::make_shared<const argocd::Application>(*std::move(application))};
}

absl::StatusOr<std::vector<ApplicationPtr>> ReadMatching(kubernetes::Client& client,
                                                         const std::string& ns,
                                                         const std::string& selector,
                                                         base::Context& context) {
  std::vector<ApplicationPtr> found;
  kubernetes::ListOptions options;
  options.label_selector = selector;
  const absl::StatusOr<std::string> listed = client.List(
      kApplications, ns, options,
      [&](std::string_view item) -> absl::Status {
        absl::StatusOr<argocd::Application> application = argocd::ParseApplication(item);
        if (!application.ok()) return application.status();
        found.push_back(std::make_shared<const argocd::Application>(*std::move(application)));
        return absl::OkStatus();
      },
      [&] { found.clear(); }, context);
  if (!listed.ok()) return listed.status();
  std::sort(found.begin(), found.end(),
            [](const ApplicationPtr& a, const ApplicationPtr& b) { return a->name < b->name; });
  return found;
}

}  // namespace

bool Scope::Serves(const std::string& ns) const {
  return served_namespaces.empty() || std::find(served_namespaces.begin(), served_namespaces.end(),
                                                ns) != served_namespaces.end();
}

std::string FirstThree(const std::vector<std::string>& items) {
  if (items.size() > 3) {
    return base::StrCat(items[0], ", ", items[1], ", ", items[2], " and ", items.size() - 3,
                        " more");
  }
  if (items.size() < 2) return items.empty() ? "" : items[0];
  return base::StrCat(absl::StrJoin(items.begin(), items.end() - 1, ", "), " and ", items.back());
}

absl::StatusOr<Resolution> Resolve(kubernetes::Client& client, base::WorkerPool& helpers,
                                   const Scope& scope,
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

  std::vector<absl::StatusOr<std::vector<ApplicationPtr>>> answers(queries.size(),
                                                                   absl::InternalError("not read"));
  base::ParallelFor(helpers, queries.size(), [&](std::size_t i) {
    const Query& query = queries[i];
    answers[i] = query.name.empty() ? ReadMatching(client, query.ns, query.selector, context)
                                    : ReadOne(client, query.ns, query.name, context);
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

  Resolution resolution;
  std::map<argocd::ApplicationName, ApplicationPtr> known;
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
    for (const ApplicationPtr& application : *answer) {
      found.push_back(known.emplace(application->name, application).first->second);
    }
  }
  if (resolution.refusal && resolution.refusal.message.empty()) {
    resolution.refusal.message = base::StrCat(
        missing.size() == 1 ? "Application " : "Applications ", FirstThree(missing), " not found");
  }
  return resolution;
}

}  // namespace gantry::steps
