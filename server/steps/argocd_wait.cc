// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/patch.h"
#include "server/argocd/wait.h"
#include "server/authorization/authorized_stage.h"
#include "server/kubernetes/api/error.h"
#include "server/steps/answer.h"
#include "server/steps/argocd_wait_config.h"
#include "server/steps/kubernetes_failure.h"
#include "server/steps/resolve.h"
#include "server/steps/struct_json.h"

namespace gantry::steps {
namespace {

using argocd::ApplicationName;
using argocd::ObservedApplication;
using argocd::WaitVerdict;
using nlohmann::json;
using WaitKind = WaitVerdict::Kind;

// Between two requests for a refresh of one Application.
constexpr absl::Duration kRefreshPause = absl::Seconds(10);

bool HasEnded(v1::StepStatus status) {
  return status == v1::STEP_STATUS_SUCCEEDED || status == v1::STEP_STATUS_FAILED;
}

struct WaitTarget {
  std::shared_ptr<const ObservedApplication> application;
  WaitVerdict verdict;
};

// Runs one call of the step. Lives on the stack of the worker that makes the call.
class WaitExecution {
 public:
  WaitExecution(const ArgocdWait::Options& options, const ArgocdWait::Dependencies& dependencies,
                RefreshTimes& refreshes, const StepCall& call, ArgocdWaitConfig config,
                std::string config_hash, base::Context& context)
      : options_(options),
        deps_(dependencies),
        refreshes_(refreshes),
        request_(call.request),
        call_(call),
        config_(std::move(config)),
        config_hash_(std::move(config_hash)),
        previous_(ToJson(request_.previous_output())),
        context_(context) {}

  absl::StatusOr<v1::RunStepResponse> Execute() {
    if (auto running = RunningFromCache()) return *std::move(running);
    std::string conflict;
    for (int conflicts = 1;; ++conflicts) {
      absl::StatusOr<std::optional<v1::RunStepResponse>> result = Pass(conflict);
      if (!result.ok()) return result.status();
      if (*result) return *std::move(*result);
      if (conflicts == kMaxConflicts) break;
      const absl::Duration delay =
          kConflictBackoff * (1 << (conflicts - 1)) * (0.5 + deps_.random.Uniform());
      if (absl::Status slept = deps_.sleeper.Sleep(delay, context_); !slept.ok()) {
        return KubernetesFailure(slept, context_);
      }
    }
    return WithOutcomes(Answer(
        v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY,
        base::StrCat("the answer could not be recorded, because the Stage's record was changed by "
                     "others ",
                     kMaxConflicts, " times meanwhile (last: ", conflict, "); call again")));
  }

 private:
  Scope scope() const { return {options_.argocd_namespace, options_.watch_namespaces}; }
  cache::StageName stage() const { return {request_.project(), request_.stage()}; }

  // RUNNING, when the watches say so and nothing has to be written. Nothing: a live read has to
  // tell.
  std::optional<v1::RunStepResponse> RunningFromCache() {
    if (request_.dry_run()) return std::nullopt;
    const cache::CachedStagePtr known = deps_.caches.FindFresh(stage());
    if (known == nullptr || !known->problem.empty() || AnswerFromRecord(known->record) ||
        NeedsRecording(known->record, v1::STEP_STATUS_RUNNING)) {
      return std::nullopt;
    }
    const auto resolution = ResolveFromCache(deps_.caches, scope(), config_.apps);
    if (!resolution) return std::nullopt;
    Judge(*resolution);
    for (const WaitTarget& target : targets_) {
      if (target.verdict.kind == WaitKind::kReady) continue;
      if (target.verdict.kind != WaitKind::kNotReady || WantsRefresh(target)) return std::nullopt;
    }
    if (!AnyOf(WaitKind::kNotReady)) return std::nullopt;
    return NotReady();
  }

  // Nothing: the record was changed under the pass's feet.
  absl::StatusOr<std::optional<v1::RunStepResponse>> Pass(std::string& conflict) {
    absl::StatusOr<stages::StoredStage> stage =
        deps_.stages.Load(request_.project(), request_.stage(), context_);
    if (!stage.ok()) return KubernetesFailure(stage.status(), context_);
    if (auto recorded = AnswerFromRecord(stage->record)) return recorded;
    auto resolution =
        Resolve<ObservedApplication>(deps_.argocd, deps_.helpers, scope(), config_.apps, context_);
    if (!resolution.ok()) return KubernetesFailure(resolution.status(), context_);
    if (resolution->refusal) {
      return Answer(v1::STEP_STATUS_ERRORED, resolution->refusal.reason,
                    resolution->refusal.message);
    }
    Judge(*resolution);
    if (!request_.dry_run()) RequestRefreshes();

    v1::RunStepResponse response = Verdict();
    if (request_.dry_run()) {
      if (response.status() != v1::STEP_STATUS_SUCCEEDED) return response;
      return WithOutcomes(Answer(v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY,
                                 base::StrCat("dry run: ", response.message(),
                                              "; a call that may record this will succeed")));
    }
    if (NeedsRecording(stage->record, response.status())) {
      Record(response, stage->record);
      const absl::StatusOr<stages::SaveOutcome> saved = deps_.stages.Save(*stage, context_);
      if (!saved.ok()) return KubernetesFailure(saved.status(), context_);
      if (*saved == stages::SaveOutcome::kConflict) {
        conflict = "the Stage's record was changed by somebody else meanwhile";
        return std::nullopt;
      }
    }
    return response;
  }

  // The promotion is the current one, or none ever was: it takes nobody's place.
  bool IsCurrent(const stages::StageRecord& record) const {
    return record.promotion.name.empty() || record.promotion.name == request_.promotion();
  }
  const stages::StepRecord* FindRecorded(const stages::StageRecord& record) const {
    const stages::StepRecord* step =
        IsCurrent(record) ? stages::FindStep(record, request_.promotion(), request_.step())
                          : stages::FindEndedWait(record, request_.promotion(), request_.step());
    return step != nullptr && step->config_hash == config_hash_ ? step : nullptr;
  }

  bool NeedsRecording(const stages::StageRecord& record, v1::StepStatus status) const {
    if (!IsCurrent(record) && !HasEnded(status)) return false;
    const stages::StepRecord* step = FindRecorded(record);
    return step == nullptr || step->status != status;
  }

  void Record(const v1::RunStepResponse& response, stages::StageRecord& record) const {
    if (!IsCurrent(record)) {
      stages::StepRecord ended{.step = request_.step(),
                               .uses = request_.uses(),
                               .config_hash = config_hash_,
                               .status = response.status(),
                               .reason = response.reason(),
                               .message = stages::CutMessage(response.message()),
                               .applications = {}};
      RecordTargets(ended);
      stages::RecordEndedWait(record, request_.promotion(), std::move(ended));
      return;
    }
    stages::MakeCurrent(record, request_.promotion());
    stages::StepRecord& step =
        stages::EnsureStep(record, request_.step(), request_.uses(), config_hash_);
    step.applications.clear();
    RecordTargets(step);
    stages::RecordAnswer(record, step, response.status(), response.reason(), response.message(),
                         deps_.clock.Now());
  }

  void RecordTargets(stages::StepRecord& step) const {
    for (const WaitTarget& target : targets_) {
      stages::EnsureApplication(step, target.application->name).attempts.done =
          target.verdict.kind == WaitKind::kReady;
    }
  }

  // What was once recorded as SUCCEEDED or FAILED stays so.
  std::optional<v1::RunStepResponse> AnswerFromRecord(const stages::StageRecord& record) const {
    const stages::StepRecord* step = FindRecorded(record);
    if (step == nullptr || !HasEnded(step->status)) return std::nullopt;
    v1::RunStepResponse response = Answer(step->status, step->reason, step->message);
    std::vector<ApplicationName> names;
    std::map<std::string, std::string> health;
    for (const stages::ApplicationRecord& application : step->applications) {
      v1::ApplicationOutcome& outcome = *response.add_applications();
      outcome.set_namespace_(application.name.ns);
      outcome.set_name(application.name.name);
      if (application.attempts.done) {
        outcome.set_action(v1::ApplicationOutcome::ACTION_NONE);
        outcome.set_message("was ready before, as recorded");
      }
      names.push_back(application.name);
      const auto known = deps_.caches.FindFresh(application.name);
      if (known != nullptr) health[ToString(known->name)] = known->health_status.str();
    }
    SetOutput(std::move(names), health, response);
    return response;
  }

  void Judge(const Resolution<ObservedApplication>& resolution) {
    targets_.clear();
    std::map<ApplicationName, std::shared_ptr<const ObservedApplication>> found;
    for (const auto& entry : resolution.applications) {
      for (const auto& application : entry) found.emplace(application->name, application);
    }
    for (const auto& [name, application] : found) {
      targets_.push_back(
          {application, argocd::JudgeWait(*application, config_.wait_for, PreviousHealth(name))});
    }
  }

  std::string PreviousHealth(const ApplicationName& name) const {
    const auto health = previous_.find("healthStatus");
    if (health == previous_.end() || !health->is_object()) return "";
    const auto found = health->find(ToString(name));
    return found != health->end() && found->is_string() ? found->get<std::string>() : "";
  }

  bool AnyOf(WaitKind kind) const {
    return std::any_of(targets_.begin(), targets_.end(),
                       [&](const WaitTarget& target) { return target.verdict.kind == kind; });
  }

  bool WantsRefresh(const WaitTarget& target) const {
    const ObservedApplication& application = *target.application;
    if (!target.verdict.wants_refresh || application.refresh || application.skip_reconcile) {
      return false;
    }
    std::optional<std::string> annotation;
    if (application.authorized_stage) annotation = application.authorized_stage->str();
    return authorization::AuthorizeStage(annotation, request_.project(), request_.stage())
               .authorized &&
           refreshes_.IsDue(application.name, deps_.clock.SinceBoot());
  }

  // A request that fails is made again by the next call.
  void RequestRefreshes() {
    for (const WaitTarget& target : targets_) {
      if (!WantsRefresh(target)) continue;
      const ApplicationName& name = target.application->name;
      refreshes_.Note(name, deps_.clock.SinceBoot());
      const absl::StatusOr<kubernetes::JsonText> answer = deps_.argocd.JsonPatch(
          kApplications, name.ns, name.name,
          argocd::BuildRefreshPatch(target.application->resource_version).dump(), context_);
      if (answer.ok()) {
        cache::PutOwnWrite(deps_.caches.applications, *answer);
        call_.log.Info("asked Argo CD for a refresh", {{"application", ToString(name)}});
      } else if (kubernetes::KindOf(answer.status()) != kubernetes::ErrorKind::kConflict) {
        call_.log.Warning(
            "could not ask Argo CD for a refresh",
            {{"application", ToString(name)}, {"error", base::ToStd(answer.status().message())}});
      }
    }
  }

  v1::RunStepResponse Verdict() const {
    if (AnyOf(WaitKind::kCondition)) {
      return WithOutcomes(Answer(v1::STEP_STATUS_FAILED, v1::STEP_REASON_APPLICATION_CONDITION,
                                 MessageOf(WaitKind::kCondition)));
    }
    if (AnyOf(WaitKind::kRegressed)) {
      return WithOutcomes(Answer(v1::STEP_STATUS_FAILED, v1::STEP_REASON_HEALTH_REGRESSED,
                                 MessageOf(WaitKind::kRegressed)));
    }
    if (AnyOf(WaitKind::kNotReady)) return NotReady();
    std::vector<std::string> names;
    for (const WaitTarget& target : targets_) names.push_back(ToString(target.application->name));
    return WithOutcomes(
        Answer(v1::STEP_STATUS_SUCCEEDED, v1::STEP_REASON_UNSPECIFIED,
               base::StrCat("all Applications are ready: ", base::FirstThree(names))));
  }

  v1::RunStepResponse NotReady() const {
    return WithOutcomes(
        Answer(v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY, MessageOf(WaitKind::kNotReady)));
  }

  std::string MessageOf(WaitKind kind) const {
    std::vector<std::string> messages;
    for (const WaitTarget& target : targets_) {
      if (target.verdict.kind == kind) messages.push_back(target.verdict.message);
    }
    const std::size_t total = messages.size();
    if (total > 3) messages.resize(3);
    return base::StrCat(absl::StrJoin(messages, "; "),
                        total > 3 ? base::StrCat("; and ", total - 3, " more") : "");
  }

  v1::RunStepResponse WithOutcomes(v1::RunStepResponse response) const {
    std::vector<ApplicationName> names;
    std::map<std::string, std::string> health;
    for (const WaitTarget& target : targets_) {
      const ObservedApplication& application = *target.application;
      v1::ApplicationOutcome& outcome = *response.add_applications();
      outcome.set_namespace_(application.name.ns);
      outcome.set_name(application.name.name);
      outcome.set_action(target.verdict.kind == WaitKind::kNotReady
                             ? v1::ApplicationOutcome::ACTION_WAITED
                             : v1::ApplicationOutcome::ACTION_NONE);
      if (application.operation_state) {
        outcome.set_operation_phase(application.operation_state->phase.str());
      }
      outcome.set_message(target.verdict.message);
      names.push_back(application.name);
      health[ToString(application.name)] = application.health_status.str();
    }
    SetOutput(std::move(names), health, response);
    return response;
  }

  static void SetOutput(std::vector<ApplicationName> names,
                        const std::map<std::string, std::string>& health,
                        v1::RunStepResponse& response) {
    json output = AppsOutput(std::move(names));
    output["healthStatus"] = health;
    *response.mutable_output() = ToStruct(output);
  }

  const ArgocdWait::Options& options_;
  const ArgocdWait::Dependencies& deps_;
  RefreshTimes& refreshes_;
  const v1::RunStepRequest& request_;
  const StepCall& call_;
  const ArgocdWaitConfig config_;
  const std::string config_hash_;
  const json previous_;  // the output of the step's previous call
  base::Context& context_;

  std::vector<WaitTarget> targets_;  // of the current pass, ordered by name
};

}  // namespace

bool RefreshTimes::IsDue(const ApplicationName& name, absl::Duration now) const {
  base::MutexLock lock(mutex_);
  const auto asked = asked_.find(name);
  return asked == asked_.end() || now - asked->second >= kRefreshPause;
}

void RefreshTimes::Note(const ApplicationName& name, absl::Duration now) {
  base::MutexLock lock(mutex_);
  std::erase_if(asked_, [&](const auto& entry) { return now - entry.second >= kRefreshPause; });
  asked_[name] = now;
}

std::string_view ArgocdWait::description() const {
  return "Waits until Argo CD Applications are as asked for: their operation ended, synced, "
         "healthy. Fails when Argo CD reports an error condition, or when an Application becomes "
         "Degraded while its health is awaited. Changes nothing.";
}

std::string_view ArgocdWait::config_schema() const { return ArgocdWaitConfigSchema(); }

absl::StatusOr<v1::RunStepResponse> ArgocdWait::Run(const StepCall& call, base::Context& context) {
  const json config_json = ToJson(call.request.config());
  ArgocdWaitConfig config;
  const std::vector<Violation> violations = ParseArgocdWaitConfig(config_json, config);
  if (!violations.empty()) return InvalidConfig(violations);
  // Another kind of step under the same name is another step, whatever its configuration.
  const std::string config_hash = HashOfConfig({{"uses", uses()}, {"config", config_json}});
  return WaitExecution(options_, dependencies_, refreshes_, call, std::move(config), config_hash,
                       context)
      .Execute();
}

}  // namespace gantry::steps
