// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_AUTHORIZATION_H_
#define GANTRY_SERVER_ARGOCD_AUTHORIZATION_H_

#include <string>
#include <string_view>

#include "server/argocd/application.h"

namespace gantry::argocd {

struct Authorization {
  bool authorized = false;
  std::string reason;  // why not, in words that complete "it is not authorized: "; else empty
};

// May `project`/`stage` change `application`? Its annotation (kAuthorizedStageAnnotation) holds
// `<project>:<stage>` entries separated by commas; blanks around entries and halves are ignored,
// empty entries too. One malformed entry (a half missing, or a `*` anywhere) makes the whole
// annotation invalid, and then nobody is authorized; nor is anybody without the annotation. Pure.
Authorization Authorizes(const Application& application, std::string_view project,
                         std::string_view stage);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_AUTHORIZATION_H_
