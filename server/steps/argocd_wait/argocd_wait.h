// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_WAIT_ARGOCD_WAIT_H_
#define GANTRY_SERVER_STEPS_ARGOCD_WAIT_ARGOCD_WAIT_H_

#include "server/steps/step_kind.h"

namespace gantry::steps {

// The step kind `argocd-wait`: succeeds when Argo CD Applications are as awaited. It only looks,
// except that it wants a refresh of an Application that authorizes the Stage and was not reconciled
// since its last operation.
class ArgocdWait final : public StepKind {
 public:
  std::string_view uses() const override { return "argocd-wait"; }
  std::string_view description() const override;
  std::string_view config_schema() const override;
  bool changes_applications() const override { return false; }
  Parsed Parse(const nlohmann::json& config) const override;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_WAIT_ARGOCD_WAIT_H_
