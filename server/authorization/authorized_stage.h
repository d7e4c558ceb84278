// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_AUTHORIZATION_AUTHORIZED_STAGE_H_
#define GANTRY_SERVER_AUTHORIZATION_AUTHORIZED_STAGE_H_

#include <optional>
#include <string>
#include <string_view>

#include "server/argocd/annotations.h"

namespace gantry::authorization {

using argocd::kAuthorizedStageAnnotation;

struct StageAuthorization {
  bool authorized = false;
  std::string reason;  // why not, in words that complete "it is not authorized: "; else empty
};

// May `project`/`stage` change an Application whose annotation is `annotation` (nothing: it has
// none)? The annotation holds `<project>:<stage>` entries separated by commas; blanks around
// entries and halves are ignored, empty entries too. One malformed entry (a half missing, or a
// `*` anywhere) makes the whole annotation invalid, and then nobody is authorized.
StageAuthorization AuthorizeStage(const std::optional<std::string>& annotation,
                                  std::string_view project, std::string_view stage);

}  // namespace gantry::authorization

#endif  // GANTRY_SERVER_AUTHORIZATION_AUTHORIZED_STAGE_H_
