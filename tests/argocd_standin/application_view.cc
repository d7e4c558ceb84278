// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/application_view.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/operation_state.h"
#include "tests/argocd_standin/sources.h"

namespace gantry::argocd_standin {

using nlohmann::json;

ApplicationView::ApplicationView(const json& application, const Memory& the_memory,
                                 absl::Time the_time, const Settings& the_settings)
    : app(application),
      spec(At(application, {"spec"})),
      state(At(application, {"status", "operationState"})),
      memory(the_memory),
      now(the_time),
      settings(the_settings),
      orders(OrdersOf(application)),
      applied(Applied()) {}

std::string ApplicationView::Annotation(std::string_view name) const {
  return TextAt(app, {"metadata", "annotations", std::string(name).c_str()});
}

std::string ApplicationView::Name() const {
  const std::string name = TextAt(app, {"metadata", "name"});
  return name.empty() ? "web" : name;
}

std::string ApplicationView::TargetNamespace() const {
  return TextAt(spec, {"destination", "namespace"});
}

json ApplicationView::Describe(const Resource& resource) const {
  return {{"group", resource.group},
          {"version", resource.version},
          {"kind", resource.kind},
          {"namespace", TargetNamespace()},
          {"name", Name()}};
}

std::vector<Resource> ApplicationView::Covered(const json& operation) const {
  const json& chosen = At(operation, {"sync", "resources"});
  std::vector<Resource> covered;
  for (const Resource& resource : {kDeployment, kService}) {
    const auto is_chosen = [&](const json& entry) {
      const std::string ns = TextAt(entry, {"namespace"});
      return TextAt(entry, {"group"}) == resource.group &&
             TextAt(entry, {"kind"}) == resource.kind && TextAt(entry, {"name"}) == Name() &&
             (ns.empty() || ns == TargetNamespace());
    };
    if (!IsFilledArray(chosen) || std::any_of(chosen.begin(), chosen.end(), is_chosen)) {
      covered.push_back(resource);
    }
  }
  return covered;
}

json ApplicationView::Applied() const {
  json kinds = memory.applied;
  if (!kinds.is_object() || kinds.empty()) {
    kinds = json::object();
    const json& history = At(app, {"status", "history"});
    if (IsFilledArray(history)) {
      const json deployed = Deploys(RevisionsOf(history.back()));
      for (const Resource& resource : {kDeployment, kService}) {
        kinds[std::string(resource.kind)] = deployed;
      }
    }
  }
  const json& result = At(state, {"syncResult"});
  const json& operation = At(state, {"operation"});
  if (!result.is_object() || TrueAt(operation, {"sync", "dryRun"})) return kinds;
  const json deployed = DeployedBy(state);
  const json& resources = At(result, {"resources"});
  if (IsFilledArray(resources)) {
    for (const json& resource : resources) {
      const std::string kind = TextAt(resource, {"kind"});
      if (TextAt(resource, {"status"}) == "Synced" &&
          (kind == kDeployment.kind || kind == kService.kind)) {
        kinds[kind] = deployed;
      }
    }
  } else if (TextAt(state, {"phase"}) == kSucceeded) {
    for (const Resource& resource : Covered(operation)) {
      kinds[std::string(resource.kind)] = deployed;
    }
  }
  return kinds;
}

std::string ApplicationView::Image(const json& deployed) const {
  const json& revisions = At(deployed, {"revisions"});
  std::string tag = "none";
  if (IsFilledArray(revisions) && !revisions.front().get<std::string>().empty()) {
    tag = revisions.front().get<std::string>().substr(0, 7);
  }
  return base::StrCat("registry.example.com/", Name(), ":", tag);
}

bool ApplicationView::InProgress() const {
  return state.is_object() && !IsCompleted(TextAt(state, {"phase"}));
}

bool ApplicationView::AwaitsRetry() const {
  return TextAt(state, {"phase"}) == kRunning && EndedAt().has_value();
}

std::optional<absl::Time> ApplicationView::EndedAt() const {
  const auto written = TimeAt(state, {"finishedAt"});
  if (written && memory.ended && base::UtcTime(*memory.ended) == base::UtcTime(*written)) {
    return memory.ended;
  }
  return written;
}

}  // namespace gantry::argocd_standin
