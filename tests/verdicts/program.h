// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_PROGRAM_H_
#define GANTRY_TESTS_VERDICTS_PROGRAM_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "tests/fakes/fake_kubernetes.h"

namespace gantry::verdicts {

// The program under test, less gRPC and the network: the kinds of step, the caches and the health
// of Stages, over a client of the Kubernetes API. Everything that knows how these are made and
// called is in program.cc, so that another version of them is compared by rewriting that file. The
// namespaces argocd (the default) and team-a are watched; records are in gantry-system. It uses one
// thread, so the order of its requests is always the same.
class Program {
 public:
  // `kubernetes` and `clock` outlive it.
  Program(int max_sync_attempts, testing::FakeKubernetes& kubernetes, const base::Clock& clock);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request);

  // What the watches bring. Nothing is fresh before the first UpToDate.
  void ApplicationChanged(const nlohmann::json& application);
  void ApplicationDeleted(const nlohmann::json& application);
  void StageChanged(const nlohmann::json& stage_health);
  void StageDeleted(const nlohmann::json& stage_health);
  // All is listed, and heard of now.
  void UpToDate();

  // As published; nothing when the Stage is not known.
  std::optional<v1::StageHealth> StageHealth(const std::string& project, const std::string& stage);
  // By the checks that a caller of GetStageHealth brings.
  v1::StageHealth StageHealthBy(const std::string& project, const std::string& stage,
                                const std::vector<v1::HealthCheck>& checks);

  // As a record names a promotion that was superseded.
  static std::string HashOfPromotion(const std::string& promotion);

  // The Events recorded since the last call, "namespace/name: reason: message".
  std::vector<std::string> TakeEvents();

 private:
  struct Parts;
  const std::unique_ptr<Parts> parts_;
};

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_PROGRAM_H_
