// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_WAIT_EVALUATE_H_
#define GANTRY_SERVER_STEPS_ARGOCD_WAIT_EVALUATE_H_

#include <string>
#include <string_view>

#include "server/argocd/application.h"

namespace gantry::steps {

// What `argocd-wait` is asked to wait for. Of health, suspended and degraded one suffices; sync and
// operation must hold as well.
struct WaitFor {
  bool health = false;
  bool sync = false;
  bool operation = false;
  bool suspended = false;
  bool degraded = false;
  bool operator==(const WaitFor&) const = default;
};

struct WaitVerdict {
  enum class Kind {
    kReady,
    kNotReady,
    kCondition,  // a ComparisonError or InvalidSpecError: the step fails
    kRegressed,  // became Degraded while its health was awaited: the step fails
  };
  Kind kind = Kind::kReady;
  // Argo CD has not reconciled it since its last operation: a refresh is to be asked for, unless
  // one is pending.
  bool wants_refresh = false;
  std::string message;  // one sentence that names the Application
};

// Whether one Application is as awaited. `previous_health` is Argo CD's health of it in the step's
// previous output, empty when there is none.
WaitVerdict EvaluateWait(const argocd::Application& application, const WaitFor& wait_for,
                         std::string_view previous_health);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_WAIT_EVALUATE_H_
