// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/authorization.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "server/argocd/annotations.h"

namespace gantry::argocd {

Authorization Authorizes(const Application& application, std::string_view project,
                         std::string_view stage) {
  if (!application.authorized_stage) {
    return {false,
            base::StrCat("it has no annotation ", kAuthorizedStageAnnotation, "; set it to \"",
                         project, ":", stage, "\" to let this Stage change it")};
  }
  const absl::string_view annotation = base::ToAbsl(application.authorized_stage->view());
  bool authorized = false;
  for (absl::string_view entry : absl::StrSplit(annotation, ',')) {
    entry = absl::StripAsciiWhitespace(entry);
    if (entry.empty()) continue;
    const std::size_t colon = entry.find(':');
    const absl::string_view entry_project =
        colon == absl::string_view::npos ? "" : absl::StripAsciiWhitespace(entry.substr(0, colon));
    const absl::string_view entry_stage =
        colon == absl::string_view::npos ? "" : absl::StripAsciiWhitespace(entry.substr(colon + 1));
    if (entry_project.empty() || entry_stage.empty() ||
        entry.find('*') != absl::string_view::npos) {
      return {false, base::StrCat("its annotation ", kAuthorizedStageAnnotation,
                                  " has the malformed entry \"", absl::Utf8SafeCHexEscape(entry),
                                  "\"; each entry must be <project>:<stage>, without \"*\"")};
    }
    if (entry_project == base::ToAbsl(project) && entry_stage == base::ToAbsl(stage)) {
      authorized = true;
    }
  }
  if (authorized) return {true, ""};
  return {false, base::StrCat("its annotation ", kAuthorizedStageAnnotation, " is \"",
                              absl::Utf8SafeCHexEscape(annotation), "\" and does not name ",
                              project, ":", stage)};
}

}  // namespace gantry::argocd
