// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_HEALTH_CHECK_INPUT_H_
#define GANTRY_SERVER_HEALTH_HEALTH_CHECK_INPUT_H_

#include <google/protobuf/struct.pb.h>

#include <map>
#include <string>
#include <vector>

#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"

namespace gantry::health {

// The input of a health check, which a step's response carries to the caller and which the caller
// brings back in GetStageHealth. It is written and read here, so that the two cannot differ. Pure.

// What a health check asks of one Application.
struct CheckedApplication {
  argocd::ApplicationName name;
  std::vector<std::string> desired_revisions;  // one per source, empty where none is asked for
  bool operator==(const CheckedApplication&) const = default;
};

// The input of a health check of these Applications.
google::protobuf::Struct ToInput(const std::vector<CheckedApplication>& applications);

// The Applications in `input`, as far as they can be understood. An Application without a namespace
// is in `default_namespace`. For everything that is wrong, `issues` gets a sentence that begins
// with the place; `path` is that of the input itself.
std::vector<CheckedApplication> ReadInput(const google::protobuf::Struct& input,
                                          const std::string& path,
                                          const std::string& default_namespace,
                                          std::vector<std::string>& issues);

// What several health checks ask for together: where one Application is in more than one of them,
// the later revision of each of its sources counts.
struct HealthChecks {
  std::map<argocd::ApplicationName, std::vector<std::string>> desired_revisions;
  std::vector<std::string> issues;
};
HealthChecks ReadHealthChecks(const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
                              const std::string& default_namespace);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_HEALTH_CHECK_INPUT_H_
