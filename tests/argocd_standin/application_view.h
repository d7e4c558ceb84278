// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_APPLICATION_VIEW_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_APPLICATION_VIEW_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "tests/argocd_standin/orders.h"
#include "tests/argocd_standin/step.h"

namespace gantry::argocd_standin {

// What a small Application consists of, in the order of their sync waves.
struct Resource {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  int wave = 0;
};
inline constexpr Resource kDeployment = {"apps", "v1", "Deployment", 0};
inline constexpr Resource kService = {"", "v1", "Service", 1};
inline constexpr Resource kHookJob = {"batch", "v1", "Job", 0};

// What the stand-in knows when it decides a step for one Application: read once, and asked by the
// parts that decide. What it is made of outlives it. The caller's thread.
struct ApplicationView {
  ApplicationView(const nlohmann::json& application, const Memory& the_memory, absl::Time the_time,
                  const Settings& the_settings);

  std::string Annotation(std::string_view name) const;
  // The name of all resources, and their namespace.
  std::string Name() const;
  std::string TargetNamespace() const;
  // What tells a resource from others.
  nlohmann::json Describe(const Resource& resource) const;
  // Those of them, in order, that an operation deploys.
  std::vector<Resource> Covered(const nlohmann::json& operation) const;
  // Of a Deployment that was applied from that.
  std::string Image(const nlohmann::json& deployed) const;
  bool InProgress() const;
  // An attempt has failed, and another will be made.
  bool AwaitsRetry() const;
  // When the last attempt ended.
  std::optional<absl::Time> EndedAt() const;

  const nlohmann::json& app;
  const nlohmann::json& spec;
  const nlohmann::json& state;  // status.operationState
  const Memory& memory;
  const absl::Time now;
  const Settings& settings;
  const Orders orders;
  // What each resource in the cluster was applied from, by kind (Deploys). After a start it is as
  // the history says; the present operation knows better.
  const nlohmann::json applied;

 private:
  nlohmann::json Applied() const;
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_APPLICATION_VIEW_H_
