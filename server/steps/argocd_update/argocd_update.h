// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_ARGOCD_UPDATE_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_ARGOCD_UPDATE_H_

#include "server/steps/step_kind.h"

namespace gantry::steps {

// The step kind `argocd-update`: changes the sources of Argo CD Applications and syncs them, once
// per promotion, step and Application, on behalf of the Stage that they authorize.
class ArgocdUpdate final : public StepKind {
 public:
  std::string_view uses() const override { return "argocd-update"; }
  std::string_view description() const override;
  std::string_view config_schema() const override;
  bool changes_applications() const override { return true; }
  // Records name steps of this kind by their configuration alone.
  nlohmann::json Identity(const nlohmann::json& config) const override { return config; }
  Parsed Parse(const nlohmann::json& config) const override;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_ARGOCD_UPDATE_H_
