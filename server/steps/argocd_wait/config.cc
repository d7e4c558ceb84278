// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/config.h"

#include <exception>
#include <utility>

#include "base/strings.h"
#include "server/steps/argocd_wait/schema.h"
#include "server/steps/config/config_rules.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

const ConfigSchema& WaitSchema() {
  // Never destroyed: threads may still look at it when the process ends.
  static const ConfigSchema& schema =
      *new ConfigSchema(ArgocdWaitConfigSchema(), WithApplicationRules({}));
  return schema;
}

ArgocdWaitConfig ReadWaitConfig(const json& config) {
  ArgocdWaitConfig read;
  for (const json& entry : config.at("apps")) {
    read.apps.push_back(ReadApplicationSelection(entry));
  }
  const auto wait_for = config.find("waitFor");
  if (wait_for == config.end()) {
    read.wait_for.health = read.wait_for.sync = read.wait_for.operation = true;
    return read;
  }
  for (const json& what : *wait_for) {
    read.wait_for.health = read.wait_for.health || what == "health";
    read.wait_for.sync = read.wait_for.sync || what == "sync";
    read.wait_for.operation = read.wait_for.operation || what == "operation";
    read.wait_for.suspended = read.wait_for.suspended || what == "suspended";
    read.wait_for.degraded = read.wait_for.degraded || what == "degraded";
  }
  return read;
}

}  // namespace

std::string_view ArgocdWaitConfigSchema() { return kArgocdWaitSchema; }

std::vector<Violation> ParseArgocdWaitConfig(const json& json, ArgocdWaitConfig& config) {
  try {
    std::vector<Violation> violations = WaitSchema().Check(json);
    if (violations.empty()) config = ReadWaitConfig(json);
    return violations;
  } catch (const std::exception& e) {
    return {{"", base::StrCat("could not be read: ", e.what())}};
  }
}

}  // namespace gantry::steps
