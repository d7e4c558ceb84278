// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_DESIRED_SOURCE_H_
#define GANTRY_SERVER_ARGOCD_DESIRED_SOURCE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "server/argocd/application.h"

namespace gantry::argocd {

// What a step desires of one source of an Application: the revision to be deployed, and the values
// that it writes into the source. Empty: nothing of that sort. Pure values and functions.
struct DesiredSource {
  struct Parameter {
    std::string name;
    std::string value;
    bool operator==(const Parameter&) const = default;
  };
  std::string revision = {};
  std::string target_revision = {};
  std::vector<std::string> kustomize_images =
      {};  // as Argo CD writes them: "name[=new][:tag|@digest]"
  std::vector<Parameter> helm_parameters = {};  // each name once
  bool operator==(const DesiredSource&) const = default;
};

// Whether `source` has every value that is desired: the target revision, the images, the
// parameters.
bool Holds(const Source& source, const DesiredSource& desired);

// Desired revisions by themselves: one per source, empty where none is asked for.

bool AnyDesired(const std::vector<std::string>& revisions);

// Whether an operation that is in `phase` and deployed `deployed` reached what is desired of source
// `i`: a tag, branch or chart range is observed as what Argo CD resolved it to, so the target
// revision of a source that was synced counts too.
bool Reached(const std::vector<std::string>& desired, std::size_t i, std::string_view phase,
             const Deployed& deployed);
// The same for every source.
bool AllReached(const std::vector<std::string>& desired, std::string_view phase,
                const Deployed& deployed);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_DESIRED_SOURCE_H_
