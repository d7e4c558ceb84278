// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/application.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::argocd {

std::string ToString(const ApplicationName& name) { return base::StrCat(name.ns, "/", name.name); }

Sources::Sources() {
  static const auto& none = *new std::shared_ptr<const std::vector<Source>>(
      std::make_shared<const std::vector<Source>>());
  sources_ = none;
}

Sources::Sources(std::vector<Source> sources) : Sources() {
  if (!sources.empty()) {
    sources_ = std::make_shared<const std::vector<Source>>(std::move(sources));
  }
}

void Sources::ShareWith(const Sources& other) {
  if (*this == other) sources_ = other.sources_;
}

std::optional<std::string_view> FindLabel(const Application& application, std::string_view key) {
  const auto found = std::find_if(application.labels.begin(), application.labels.end(),
                                  [&](const auto& label) { return label.first == key; });
  if (found == application.labels.end()) return std::nullopt;
  return found->second.view();
}

std::string InitiatorOf(const Operation& operation) {
  if (operation.promotion) return base::StrCat("promotion ", operation.promotion->view());
  if (!operation.initiated_by.empty()) return operation.initiated_by.str();
  return operation.automated ? "Argo CD's automated sync" : "somebody unknown";
}

bool IsCompleted(std::string_view phase) {
  return phase == "Succeeded" || phase == "Failed" || phase == "Error";
}

}  // namespace gantry::argocd
