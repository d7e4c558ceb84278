// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_ANNOTATIONS_H_
#define GANTRY_SERVER_ARGOCD_ANNOTATIONS_H_

#include <string_view>

namespace gantry::argocd {

// The annotation by which an Application's owner lets Stages change it. Kargo's name and syntax,
// so that Applications prepared for Kargo need no change.
inline constexpr std::string_view kAuthorizedStageAnnotation = "kargo.akuity.io/authorized-stage";

// Argo CD's own: "hard" or anything else ("normal") asks it to compare the Application now; it
// removes the annotation when it has.
inline constexpr std::string_view kRefreshAnnotation = "argocd.argoproj.io/refresh";
// "true" makes Argo CD leave the Application alone.
inline constexpr std::string_view kSkipReconcileAnnotation = "argocd.argoproj.io/skip-reconcile";
// The mark that Argo CD leaves on what it manages: "<parent Application>:<group>/<kind>:...".
inline constexpr std::string_view kTrackingIdAnnotation = "argocd.argoproj.io/tracking-id";

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_ANNOTATIONS_H_
