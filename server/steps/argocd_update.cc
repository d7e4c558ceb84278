// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/decide.h"
#include "server/argocd/match.h"
#include "server/argocd/patch.h"
#include "server/authorization/authorized_stage.h"
#include "server/health/health_check_input.h"
#include "server/kubernetes/api/error.h"
#include "server/steps/answer.h"
#include "server/steps/argocd_update_config.h"
#include "server/steps/kubernetes_failure.h"
#include "server/steps/resolve.h"
#include "server/steps/struct_json.h"

namespace gantry::steps {
namespace {

using argocd::ApplicationName;
using argocd::Verdict;
using nlohmann::json;
using Kind = Verdict::Kind;
using ApplicationPtr = std::shared_ptr<const argocd::Application>;

// After something that is likely to have passed by then.
constexpr absl::Duration kPassingFailureRetry = absl::Seconds(2);
// For giving back attempts that were recorded and not made, also when the caller has gone.
constexpr absl::Duration kReleaseTimeout = absl::Seconds(2);

// One Application in one pass.
struct UpdateTarget {
  ApplicationPtr application;
  std::vector<argocd::SourceUpdate> updates;  // of all its entries, in order
  bool skipped = false;                       // not authorized
  bool by_name = false;                       // an entry names it
  std::string skip_reason;
  argocd::SourceMatch match;
  std::vector<std::string> given_target_revisions;
  json spec_patch;
  argocd::AttemptRecord attempts;
  Verdict verdict;
};

// What became of one write; the later kinds decide over the earlier ones.
struct WriteResult {
  enum class Kind { kNotBegun, kWritten, kConflict, kFailed, kRefused, kSuperseded };
  Kind kind = Kind::kNotBegun;
  absl::Status status = absl::OkStatus();
  bool certainly_not_written = true;
  std::string newer_promotion = {};  // with kSuperseded
};

// An attempt that this call recorded and whose operation was certainly not written. The next pass
// makes it again; if there is none, it is given back.
struct Unmade {
  int attempt = 0;
  int before = 0;  // what the record said of the last attempt before
};

// Takes an unmade attempt off what is on record: by its number, or when another call has recorded
// a later one meanwhile, by counting it out.
void GiveBack(const Unmade& unmade, argocd::AttemptRecord& attempts) {
  if (attempts.last == unmade.attempt) {
    attempts.last = unmade.before;
  } else if (attempts.last > unmade.attempt) {
    ++attempts.unmade;
  }
}

// A write as it was sent, for telling about it.
struct SentWrite {
  ApplicationPtr application;
  argocd::OperationRequest operation;
  std::string patch;
  std::string event;              // the words of the Event
  std::string changed;            // the paths changed in the spec
  std::string desired_revisions;  // for the log
};

v1::StepReason ReasonOf(Kind kind) {
  switch (kind) {
    case Kind::kOperationRunning:
    case Kind::kWrite:
      return v1::STEP_REASON_OPERATION_RUNNING;
    case Kind::kOtherOperationRunning:
      return v1::STEP_REASON_OTHER_OPERATION_RUNNING;
    case Kind::kAwaitingRetry:
      return v1::STEP_REASON_AWAITING_RETRY;
    case Kind::kDeleting:
      return v1::STEP_REASON_APPLICATION_DELETING;
    case Kind::kReconcileDisabled:
      return v1::STEP_REASON_RECONCILE_DISABLED;
    case Kind::kOperationFailed:
      return v1::STEP_REASON_OPERATION_FAILED;
    case Kind::kRevisionNotReached:
      return v1::STEP_REASON_REVISION_NOT_REACHED;
    case Kind::kDone:
      break;
  }
  return v1::STEP_REASON_UNSPECIFIED;
}

bool IsFailure(Kind kind) {
  return kind == Kind::kOperationFailed || kind == Kind::kRevisionNotReached;
}
bool IsError(Kind kind) { return kind == Kind::kDeleting || kind == Kind::kReconcileDisabled; }

v1::RunStepResponse Superseded(std::string_view promotion, std::string_view newer) {
  return Answer(v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED,
                base::StrCat("promotion ", promotion, " was superseded by promotion ", newer,
                             "; it writes nothing any more"));
}

v1::HealthCheck HealthCheckOf(std::string_view uses,
                              const std::vector<stages::ApplicationRecord>& applications) {
  std::vector<health::CheckedApplication> checked;
  for (const stages::ApplicationRecord& application : applications) {
    checked.push_back({application.name, application.desired_revisions});
  }
  v1::HealthCheck check;
  check.set_uses(std::string(uses));
  *check.mutable_input() = health::ToInput(checked);
  return check;
}

// Runs one call of the step. Lives on the stack of the worker that makes the call.
class UpdateExecution {
 public:
  UpdateExecution(const ArgocdUpdate::Options& options,
                  const ArgocdUpdate::Dependencies& dependencies, const StepCall& call,
                  ArgocdUpdateConfig config, std::string config_hash, base::Context& context)
      : options_(options),
        deps_(dependencies),
        request_(call.request),
        call_(call),
        config_(std::move(config)),
        config_hash_(std::move(config_hash)),
        context_(context) {}

  absl::StatusOr<v1::RunStepResponse> Execute() {
    if (auto running = RunningFromCache()) return *std::move(running);
    absl::StatusOr<v1::RunStepResponse> response = ExecutePasses();
    for (const auto& [name, sent] : unknown_) Audit(sent, "sent, no answer: may have happened");
    ReleaseUnmadeAttempts();
    return response;
  }

 private:
  // Nothing: something changed under the pass's feet, and it is to be made again.
  using PassResult = absl::StatusOr<std::optional<v1::RunStepResponse>>;

  absl::StatusOr<v1::RunStepResponse> ExecutePasses() {
    for (int conflicts = 1;; ++conflicts) {
      PassResult result = Pass();
      if (!result.ok()) return result.status();
      if (*result) return *std::move(*result);
      if (conflicts == kMaxConflicts) break;
      const absl::Duration delay =
          kConflictBackoff * (1 << (conflicts - 1)) * (0.5 + deps_.random.Uniform());
      if (absl::Status slept = deps_.sleeper.Sleep(delay, context_); !slept.ok()) {
        return KubernetesFailure(slept, context_);
      }
    }
    v1::RunStepResponse response = WithOutcomes(Running(
        written_.empty() ? v1::STEP_REASON_AWAITING_RETRY : v1::STEP_REASON_OPERATION_RUNNING,
        base::StrCat("the Application or the Stage's record was changed by others ", kMaxConflicts,
                     " times between reading and writing it (last: ", last_conflict_,
                     "); call again")));
    *response.mutable_retry_after() = ToProto(kPassingFailureRetry);
    return response;
  }

  PassResult Pass() {
    BeginPass();
    absl::StatusOr<stages::StoredStage> stage =
        deps_.stages.Load(request_.project(), request_.stage(), context_);
    if (!stage.ok()) return KubernetesFailure(stage.status(), context_);
    if (stages::IsSuperseded(stage->record, request_.promotion())) {
      return Superseded(request_.promotion(), stage->record.promotion.name);
    }
    if (auto recorded = AnswerFromRecord(stage->record)) return recorded;

    absl::StatusOr<Refusal> refusal = ResolveAndAuthorize();
    if (!refusal.ok()) return KubernetesFailure(refusal.status(), context_);
    if (!*refusal) *refusal = Match();
    if (*refusal) {
      return WithOutcomes(
          Answer(v1::STEP_STATUS_ERRORED, refusal->reason, std::move(refusal->message)));
    }
    DecideAll(stage->record);

    if (const UpdateTarget* failed = FirstWhere(IsFailure)) return Fail(*stage, *failed);
    if (const UpdateTarget* errored = FirstWhere(IsError)) {
      // What was seen done is kept; a promotion that is not the current one does not become it.
      if (AnyNewlyDone() && !request_.dry_run() &&
          stage->record.promotion.name == request_.promotion()) {
        PrepareStep(stage->record, /*writes=*/false);
        const absl::StatusOr<bool> saved = Save(*stage);
        if (!saved.ok()) return saved.status();
        if (!*saved) return std::nullopt;
        unmade_.clear();
      }
      return WithOutcomes(
          Answer(v1::STEP_STATUS_ERRORED, ReasonOf(errored->verdict.kind), MessageOf(IsError)));
    }
    const auto is_done = [](Kind kind) { return kind == Kind::kDone; };
    if (FirstWhere(std::not_fn(is_done)) == nullptr) return Succeed(*stage);

    const bool writes = FirstWhere([](Kind kind) { return kind == Kind::kWrite; }) != nullptr;
    if (request_.dry_run()) return Waiting(writes ? "dry run, nothing was written: " : "dry run: ");
    if (writes || AnyNewlyDone()) {
      const absl::StatusOr<bool> recorded = RecordAttempts(*stage);
      if (!recorded.ok()) return recorded.status();
      if (!*recorded) return std::nullopt;
    }
    if (writes) return Write();
    return Waiting("");
  }

  // RUNNING, when the watches say so: what is recorded is under way, and nobody has to write or
  // record anything. Nothing: a live read has to tell.
  std::optional<v1::RunStepResponse> RunningFromCache() {
    if (request_.dry_run()) return std::nullopt;
    const cache::CachedStagePtr stage =
        deps_.caches.FindFresh(cache::StageName{request_.project(), request_.stage()});
    if (stage == nullptr || !stage->problem.empty()) return std::nullopt;
    const stages::StepRecord* step =
        stages::FindStep(stage->record, request_.promotion(), request_.step());
    if (step == nullptr || step->config_hash != config_hash_ ||
        step->status != v1::STEP_STATUS_RUNNING) {
      return std::nullopt;
    }
    const auto observed = ResolveFromCache(deps_.caches, scope(), Selections());
    if (!observed) return std::nullopt;
    Resolution<argocd::Application> resolution;
    for (const auto& entry : observed->applications) {
      auto& converted = resolution.applications.emplace_back();
      for (const auto& application : entry) {
        converted.push_back(
            std::make_shared<const argocd::Application>(argocd::ToApplication(*application)));
      }
    }
    BeginPass();
    if (AuthorizeAll(std::move(resolution)) || Match()) return std::nullopt;
    DecideAll(stage->record);
    bool waits = false;
    for (const UpdateTarget& target : targets_) {
      if (target.skipped) continue;
      if (stages::FindApplication(*step, target.application->name) == nullptr) return std::nullopt;
      switch (target.verdict.kind) {
        case Kind::kOperationRunning:
        case Kind::kOtherOperationRunning:
        case Kind::kAwaitingRetry:
          waits = true;
          break;
        case Kind::kDone:
          if (!target.attempts.done) return std::nullopt;
          break;
        default:
          return std::nullopt;
      }
    }
    if (!waits) return std::nullopt;
    return Waiting("");
  }

  void BeginPass() {
    targets_.clear();
    place_.clear();
  }

  // What was once recorded as SUCCEEDED, or as failed for good, stays so.
  std::optional<v1::RunStepResponse> AnswerFromRecord(const stages::StageRecord& record) const {
    const stages::StepRecord* step =
        stages::FindStep(record, request_.promotion(), request_.step());
    if (step == nullptr || step->config_hash != config_hash_) return std::nullopt;
    const bool succeeded = step->status == v1::STEP_STATUS_SUCCEEDED;
    if (!succeeded && step->status != v1::STEP_STATUS_FAILED) return std::nullopt;
    v1::RunStepResponse response = Answer(step->status, step->reason, step->message);
    std::vector<ApplicationName> names;
    for (const stages::ApplicationRecord& application : step->applications) {
      v1::ApplicationOutcome& outcome = *response.add_applications();
      outcome.set_namespace_(application.name.ns);
      outcome.set_name(application.name.name);
      if (application.attempts.done) {
        outcome.set_action(v1::ApplicationOutcome::ACTION_NONE);
        outcome.set_message("was done before, as recorded");
      }
      outcome.mutable_desired_revisions()->Add(application.desired_revisions.begin(),
                                               application.desired_revisions.end());
      names.push_back(application.name);
    }
    *response.mutable_output() = ToStruct(AppsOutput(std::move(names)));
    if (succeeded) {
      *response.mutable_health_check() = HealthCheckOf(request_.uses(), step->applications);
    }
    return response;
  }

  Scope scope() const { return {options_.argocd_namespace, options_.watch_namespaces}; }

  std::vector<ApplicationSelection> Selections() const {
    std::vector<ApplicationSelection> selections;
    for (const auto& app : config_.apps) selections.push_back(app.selection);
    return selections;
  }

  absl::StatusOr<Refusal> ResolveAndAuthorize() {
    auto resolution =
        Resolve<argocd::Application>(deps_.argocd, deps_.helpers, scope(), Selections(), context_);
    if (!resolution.ok()) return resolution.status();
    if (resolution->refusal) return resolution->refusal;
    return AuthorizeAll(*std::move(resolution));
  }

  Refusal AuthorizeAll(Resolution<argocd::Application> resolution) {
    Refusal refusal;
    for (std::size_t i = 0; i < config_.apps.size(); ++i) {
      const auto& entry = config_.apps[i];
      const bool by_name = !entry.selection.name.empty();
      std::size_t authorized = 0;
      std::string reason;
      for (const ApplicationPtr& application : resolution.applications[i]) {
        const auto [known, added] = place_.emplace(application->name, targets_.size());
        if (added) {
          UpdateTarget& made = targets_.emplace_back();
          made.application = application;
          const authorization::StageAuthorization answer = Authorize(*application);
          made.skipped = !answer.authorized;
          made.skip_reason = answer.reason;
        }
        UpdateTarget& target = targets_[known->second];
        target.by_name = target.by_name || by_name;
        if (target.skipped) {
          reason = base::StrCat("Application ", ToString(application->name),
                                " does not authorize Stage ", request_.project(), ":",
                                request_.stage(), ": ", target.skip_reason);
          continue;
        }
        ++authorized;
        target.updates.insert(target.updates.end(), entry.sources.begin(), entry.sources.end());
      }
      if (authorized > 0 || refusal) continue;
      refusal.reason = v1::STEP_REASON_NOT_AUTHORIZED;
      refusal.message = by_name ? reason
                                : base::StrCat("none of the ", resolution.applications[i].size(),
                                               " Applications that match the selector ",
                                               entry.selection.label_selector, " authorizes Stage ",
                                               request_.project(), ":", request_.stage(),
                                               "; the last of them: ", reason);
    }
    entries_ = std::move(resolution.applications);
    return refusal;
  }

  authorization::StageAuthorization Authorize(const argocd::Application& application) const {
    std::optional<std::string> annotation;
    const auto found =
        application.annotations.find(std::string(authorization::kAuthorizedStageAnnotation));
    if (found != application.annotations.end()) annotation = found->second;
    return authorization::AuthorizeStage(annotation, request_.project(), request_.stage());
  }

  Refusal Match() {
    // Entry by entry first: with several Applications in one entry, an update that does not fit all
    // of them is a question of the entry, not of one Application.
    for (std::size_t i = 0; i < config_.apps.size(); ++i) {
      std::vector<std::string> unmatched;
      argocd::SourceMatch first;
      std::size_t members = 0;
      for (const ApplicationPtr& application : entries_[i]) {
        if (targets_[place_.at(application->name)].skipped) continue;
        ++members;
        argocd::SourceMatch match = argocd::MatchSources(*application, config_.apps[i].sources);
        if (match.problem == argocd::SourceMatch::Problem::kNone) continue;
        if (unmatched.empty()) first = std::move(match);
        unmatched.push_back(ToString(application->name));
      }
      if (unmatched.empty()) continue;
      if (members > 1) {
        return {v1::STEP_REASON_INCOMPATIBLE_SOURCES,
                base::StrCat("the source updates of apps[", i, "] do not fit ", unmatched.size(),
                             " of its ", members, " Applications: ", base::FirstThree(unmatched),
                             "; ", first.message)};
      }
      return {first.problem == argocd::SourceMatch::Problem::kNotMatched
                  ? v1::STEP_REASON_SOURCE_NOT_MATCHED
                  : v1::STEP_REASON_INCOMPATIBLE_SOURCES,
              std::move(first.message)};
    }
    for (UpdateTarget& target : targets_) {
      if (target.skipped) continue;
      target.match = argocd::MatchSources(*target.application, target.updates);
      // Each entry fits by itself; together they may contradict each other.
      if (target.match.problem != argocd::SourceMatch::Problem::kNone) {
        return {v1::STEP_REASON_INCOMPATIBLE_SOURCES, target.match.message};
      }
      target.given_target_revisions =
          argocd::GivenTargetRevisions(*target.application, target.updates, target.match);
      target.spec_patch = argocd::BuildSpecPatch(*target.application, target.updates, target.match);
    }
    return {};
  }

  void DecideAll(const stages::StageRecord& record) {
    for (UpdateTarget& target : targets_) {
      if (target.skipped) continue;
      const ApplicationName& name = target.application->name;
      target.attempts =
          stages::AttemptsOf(record, request_.promotion(), request_.step(), config_hash_, name);
      const auto unmade = unmade_.find(name);
      if (unmade != unmade_.end()) GiveBack(unmade->second, target.attempts);
      target.verdict = argocd::Decide({.application = *target.application,
                                       .promotion = request_.promotion(),
                                       .record = target.attempts,
                                       .desired_revisions = target.match.desired_revisions,
                                       .given_target_revisions = target.given_target_revisions,
                                       .spec_differs = !target.spec_patch.empty(),
                                       .max_attempts = options_.max_sync_attempts,
                                       .now = deps_.clock.Now()});
      TellOfFoundWrite(target);
    }
  }

  // A write that was not answered: what was read now tells whether it happened.
  void TellOfFoundWrite(const UpdateTarget& target) {
    const auto sent = unknown_.find(target.application->name);
    if (sent == unknown_.end()) return;
    const auto is_ours = [&](const argocd::Operation& operation) {
      const auto promotion = operation.info.find(std::string(argocd::kPromotionInfo));
      const auto attempt = operation.info.find(std::string(argocd::kAttemptInfo));
      return promotion != operation.info.end() && promotion->second == request_.promotion() &&
             attempt != operation.info.end() &&
             attempt->second == base::StrCat(sent->second.operation.attempt);
    };
    const argocd::Application& application = *target.application;
    if (!(application.operation && is_ours(*application.operation)) &&
        !(application.operation_state && is_ours(application.operation_state->operation))) {
      return;
    }
    Tell(sent->second);
    written_[application.name] = sent->second.patch;
    unknown_.erase(sent);
  }

  template <typename Predicate>
  const UpdateTarget* FirstWhere(Predicate predicate) const {
    for (const UpdateTarget& target : targets_) {
      if (!target.skipped && predicate(target.verdict.kind)) return &target;
    }
    return nullptr;
  }

  bool AnyNewlyDone() const {
    return std::any_of(targets_.begin(), targets_.end(), [](const UpdateTarget& target) {
      return !target.skipped && target.verdict.kind == Kind::kDone && !target.attempts.done;
    });
  }

  template <typename Predicate>
  std::string MessageOf(Predicate predicate) const {
    std::vector<std::string> messages;
    for (const UpdateTarget& target : targets_) {
      if (!target.skipped && predicate(target.verdict.kind)) {
        messages.push_back(target.verdict.message);
      }
    }
    const std::size_t total = messages.size();
    if (total > 3) messages.resize(3);
    return base::StrCat(absl::StrJoin(messages, "; "),
                        total > 3 ? base::StrCat("; and ", total - 3, " more") : "");
  }

  // The step's record, with this call's promotion made the current one and all that was seen done.
  // With `writes`, the attempts about to be made too.
  stages::StepRecord& PrepareStep(stages::StageRecord& record, bool writes) const {
    stages::MakeCurrent(record, request_.promotion());
    stages::StepRecord& step =
        stages::EnsureStep(record, request_.step(), request_.uses(), config_hash_);
    for (const UpdateTarget& target : targets_) {
      if (target.skipped) continue;
      stages::ApplicationRecord& application =
          stages::EnsureApplication(step, target.application->name);
      application.attempts = target.attempts;
      application.attempts.last = target.verdict.last_attempt;
      application.desired_revisions = target.match.desired_revisions;
      if (target.verdict.kind == Kind::kDone) application.attempts.done = true;
      if (writes && target.verdict.kind == Kind::kWrite) {
        application.attempts.last = target.verdict.attempt;
      }
    }
    return step;
  }

  // False: the record was changed by somebody else meanwhile.
  absl::StatusOr<bool> Save(stages::StoredStage& stage) {
    const absl::Status saved = deps_.stages.Save(stage, context_);
    if (saved.ok()) return true;
    if (absl::IsAborted(saved)) {
      last_conflict_ = std::string(saved.message());
      return false;
    }
    return KubernetesFailure(saved, context_);
  }

  PassResult Fail(stages::StoredStage& stage, const UpdateTarget& failed) {
    v1::RunStepResponse response =
        Answer(v1::STEP_STATUS_FAILED, ReasonOf(failed.verdict.kind), MessageOf(IsFailure));
    if (!request_.dry_run()) {
      stages::StepRecord& step = PrepareStep(stage.record, /*writes=*/false);
      stages::RecordAnswer(stage.record, step, response.status(), response.reason(),
                           response.message(), deps_.clock.Now());
      const absl::StatusOr<bool> saved = Save(stage);
      if (!saved.ok()) return saved.status();
      if (!*saved) return std::nullopt;
      unmade_.clear();
    }
    return WithOutcomes(std::move(response));
  }

  PassResult Succeed(stages::StoredStage& stage) {
    const std::string message =
        base::StrCat("all Applications are synced: ", base::FirstThree(Names()));
    if (request_.dry_run()) {
      return WithOutcomes(Running(
          v1::STEP_REASON_OPERATION_RUNNING,
          base::StrCat("dry run: ", message, "; a call that may record this will succeed")));
    }
    stages::StepRecord& step = PrepareStep(stage.record, /*writes=*/false);
    // An Application that the step matched in an earlier call and does not match any more is not
    // part of its success.
    std::erase_if(step.applications, [&](const stages::ApplicationRecord& application) {
      const auto place = place_.find(application.name);
      return place == place_.end() || targets_[place->second].skipped;
    });
    for (const stages::ApplicationRecord& application : step.applications) {
      const argocd::Application& seen = *targets_[place_.at(application.name)].application;
      stages::RegisterHealthCheck(
          stage.record,
          {.application = application.name,
           .promotion = "",
           .desired_revisions = application.desired_revisions,
           .resource_version = seen.resource_version,
           .finished_at = seen.operation_state ? seen.operation_state->finished_at : std::nullopt});
    }
    const std::vector<stages::ApplicationRecord> applications = step.applications;
    stages::RecordAnswer(stage.record, step, v1::STEP_STATUS_SUCCEEDED, v1::STEP_REASON_UNSPECIFIED,
                         message, deps_.clock.Now());
    const absl::StatusOr<bool> saved = Save(stage);
    if (!saved.ok()) return saved.status();
    if (!*saved) return std::nullopt;
    unmade_.clear();
    v1::RunStepResponse response =
        Answer(v1::STEP_STATUS_SUCCEEDED, v1::STEP_REASON_UNSPECIFIED, message);
    *response.mutable_health_check() = HealthCheckOf(request_.uses(), applications);
    return WithOutcomes(std::move(response));
  }

  absl::StatusOr<bool> RecordAttempts(stages::StoredStage& stage) {
    std::map<ApplicationName, Unmade> recorded;
    for (const UpdateTarget& target : targets_) {
      if (!target.skipped && target.verdict.kind == Kind::kWrite) {
        recorded[target.application->name] = {target.verdict.attempt, target.verdict.last_attempt};
      }
    }
    stages::StepRecord& step = PrepareStep(stage.record, /*writes=*/true);
    stages::RecordAnswer(stage.record, step, v1::STEP_STATUS_RUNNING,
                         v1::STEP_REASON_OPERATION_RUNNING, "", deps_.clock.Now());
    absl::StatusOr<bool> saved = Save(stage);
    if (!saved.ok()) {
      // What is on record now is not known, and another replica may have recorded the same number.
      unmade_.clear();
    } else if (*saved) {
      unmade_ = std::move(recorded);
    }
    return saved;
  }

  PassResult Write() {
    std::vector<UpdateTarget*> writes;
    for (UpdateTarget& target : targets_) {
      if (!target.skipped && target.verdict.kind == Kind::kWrite) writes.push_back(&target);
    }
    std::vector<WriteResult> results(writes.size());
    std::vector<SentWrite> sent;
    sent.reserve(writes.size());
    for (const UpdateTarget* target : writes) sent.push_back(Prepare(*target));
    base::ParallelFor(deps_.helpers, writes.size(), [&](std::size_t i) {
      results[i] = WriteOne(*writes[i], sent[i].patch);
      if (results[i].kind == WriteResult::Kind::kWritten) Tell(sent[i]);
      return results[i].kind == WriteResult::Kind::kWritten;
    });

    const WriteResult* worst = nullptr;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const ApplicationName& name = writes[i]->application->name;
      switch (results[i].kind) {
        case WriteResult::Kind::kWritten:
          written_[name] = sent[i].patch;
          writes[i]->verdict.message =
              base::StrCat("started the sync of Application ", ToString(name));
          unmade_.erase(name);
          continue;
        default:
          if (results[i].certainly_not_written) break;
          unmade_.erase(name);
          unknown_[name] = sent[i];
      }
      if (!results[i].status.ok()) {
        writes[i]->verdict.message = std::string(results[i].status.message());
      }
      if (worst == nullptr || results[i].kind > worst->kind) worst = &results[i];
    }
    if (worst == nullptr) return Waiting("");
    switch (worst->kind) {
      case WriteResult::Kind::kSuperseded:
        return WithOutcomes(Superseded(request_.promotion(), worst->newer_promotion));
      case WriteResult::Kind::kRefused:
        return WithOutcomes(Answer(v1::STEP_STATUS_ERRORED, v1::STEP_REASON_WRITE_REFUSED,
                                   base::StrCat("the API server refused a write: ",
                                                base::ToStd(worst->status.message()))));
      case WriteResult::Kind::kFailed:
        return AfterPassingFailure(*worst);
      default:
        last_conflict_ = std::string(worst->status.message());
        return std::nullopt;
    }
  }

  SentWrite Prepare(const UpdateTarget& target) const {
    SentWrite write;
    write.application = target.application;
    write.operation = {.promotion = request_.promotion(),
                       .actor = request_.actor(),
                       .default_initiator = options_.operation_initiator,
                       .project = request_.project(),
                       .stage = request_.stage(),
                       .attempt = target.verdict.attempt};
    write.patch =
        argocd::BuildPatch(*target.application, target.spec_patch, write.operation).dump();
    write.event =
        argocd::DescribeWrite(*target.application, target.given_target_revisions, write.operation);
    std::vector<std::string> changed;
    for (const json& change : target.spec_patch) {
      changed.push_back(change.at("path").get<std::string>());
    }
    write.changed = absl::StrJoin(changed, ",");
    write.desired_revisions = absl::StrJoin(target.match.desired_revisions, ",");
    return write;
  }

  // True when the attempt about to be made is still the step's to make: no other replica has ended
  // the step or taken the attempt back meanwhile.
  bool IsStillRecorded(const stages::StageRecord& record, const UpdateTarget& target) const {
    const stages::StepRecord* step =
        stages::FindStep(record, request_.promotion(), request_.step());
    if (step == nullptr || step->config_hash != config_hash_ ||
        step->status != v1::STEP_STATUS_RUNNING) {
      return false;
    }
    const stages::ApplicationRecord* application =
        stages::FindApplication(*step, target.application->name);
    return application != nullptr && !application->attempts.done &&
           application->attempts.last >= target.verdict.attempt;
  }

  WriteResult WriteOne(const UpdateTarget& target, const std::string& patch) {
    using Result = WriteResult::Kind;
    const absl::StatusOr<stages::StoredStage> stage =
        deps_.stages.Load(request_.project(), request_.stage(), context_);
    if (!stage.ok()) return {.kind = Result::kFailed, .status = stage.status()};
    const stages::StageRecord& record = stage->record;
    if (stages::IsSuperseded(record, request_.promotion())) {
      return {.kind = Result::kSuperseded, .newer_promotion = record.promotion.name};
    }
    if (!IsStillRecorded(record, target)) {
      return {.kind = Result::kConflict,
              .status = absl::AbortedError("the Stage's record was changed meanwhile")};
    }
    const ApplicationName& name = target.application->name;
    const absl::StatusOr<std::string> answer =
        deps_.argocd.JsonPatch(kApplications, name.ns, name.name, patch, context_);
    if (answer.ok()) {
      // No step may act on a state older than this write.
      cache::PutOwnWrite(deps_.caches.applications, *answer);
      return {.kind = Result::kWritten};
    }
    WriteResult result = {
        .kind = Result::kFailed,
        .status = answer.status(),
        .certainly_not_written = kubernetes::CertainlyNotWritten(answer.status())};
    switch (kubernetes::KindOf(answer.status())) {
      case kubernetes::ErrorKind::kConflict:
      case kubernetes::ErrorKind::kNotFound:
        result.kind = Result::kConflict;
        break;
      case kubernetes::ErrorKind::kForbidden:
        result.kind = Result::kRefused;
        break;
      case kubernetes::ErrorKind::kRefused:
        if (!result.certainly_not_written) break;
        // A patch whose paths are gone is refused before its resourceVersion is compared.
        result.kind = HasChanged(*target.application) ? Result::kConflict : Result::kRefused;
        break;
      default:
        break;
    }
    return result;
  }

  bool HasChanged(const argocd::Application& application) {
    const absl::StatusOr<std::string> body =
        deps_.argocd.Get(kApplications, application.name.ns, application.name.name, context_);
    if (!body.ok()) return kubernetes::KindOf(body.status()) == kubernetes::ErrorKind::kNotFound;
    const absl::StatusOr<argocd::Application> now = argocd::ParseApplication(*body);
    return !now.ok() || now->resource_version != application.resource_version;
  }

  PassResult AfterPassingFailure(const WriteResult& failure) {
    if (context_.Check().ok() && !failure.certainly_not_written && !looked_after_failure_) {
      // The write may have happened: look before anything else is said.
      looked_after_failure_ = true;
      last_conflict_ = std::string(failure.status.message());
      return std::nullopt;
    }
    if (written_.empty()) return KubernetesFailure(failure.status, context_);
    v1::RunStepResponse response =
        WithOutcomes(Running(v1::STEP_REASON_OPERATION_RUNNING,
                             base::StrCat("some Applications were written, another could not be: ",
                                          base::ToStd(failure.status.message()))));
    const absl::Duration asked = kubernetes::DetailOf(failure.status).retry_after;
    *response.mutable_retry_after() = ToProto(std::max(asked, kPassingFailureRetry));
    return response;
  }

  // Tells the Application's owner by an Event, and the auditors by a line in the log.
  void Tell(const SentWrite& write) const {
    const argocd::Application& application = *write.application;
    deps_.events.Record({"argoproj.io/v1alpha1", "Application", application.name.ns,
                         application.name.name, application.uid, application.resource_version},
                        "OperationStarted", write.event);
    Audit(write, "written");
  }

  void Audit(const SentWrite& write, std::string_view outcome) const {
    call_.log.Audit("audit: Application changed and sync started",
                    {{"outcome", outcome},
                     {"caller", call_.caller},
                     {"actor", request_.actor()},
                     {"application", ToString(write.application->name)},
                     {"attempt", base::StrCat(write.operation.attempt)},
                     {"changed", write.changed},
                     {"desired_revisions", write.desired_revisions}});
  }

  static v1::RunStepResponse Running(v1::StepReason reason, std::string message) {
    return Answer(v1::STEP_STATUS_RUNNING, reason, std::move(message));
  }

  // RUNNING, for whatever the Applications are waited for.
  v1::RunStepResponse Waiting(std::string_view prefix) const {
    const auto waits = [](Kind kind) { return kind != Kind::kDone; };
    v1::StepReason reason = v1::STEP_REASON_AWAITING_RETRY;
    absl::Duration retry = absl::InfiniteDuration();
    bool awaits = false;
    for (const UpdateTarget& target : targets_) {
      if (target.skipped || !waits(target.verdict.kind)) continue;
      const v1::StepReason own = ReasonOf(target.verdict.kind);
      if (own == v1::STEP_REASON_OPERATION_RUNNING ||
          (own == v1::STEP_REASON_OTHER_OPERATION_RUNNING &&
           reason != v1::STEP_REASON_OPERATION_RUNNING)) {
        reason = own;
      }
      if (target.verdict.kind == Kind::kAwaitingRetry) {
        awaits = true;
        retry = std::min(retry, target.verdict.retry_after);
      }
    }
    // An attempt that becomes due is nothing that a change tells of.
    if (retry == absl::InfiniteDuration()) retry = kRunningRetry;
    if (retry == kRunningRetry && awaits) retry += absl::Milliseconds(1);
    v1::RunStepResponse response = Running(reason, base::StrCat(prefix, MessageOf(waits)));
    *response.mutable_retry_after() = ToProto(retry);
    return WithOutcomes(std::move(response));
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const UpdateTarget& target : targets_) {
      if (!target.skipped) names.push_back(ToString(target.application->name));
    }
    return names;
  }

  v1::RunStepResponse WithOutcomes(v1::RunStepResponse response) const {
    std::vector<ApplicationName> names;
    for (const UpdateTarget& target : targets_) {
      const ApplicationName& name = target.application->name;
      v1::ApplicationOutcome& outcome = *response.add_applications();
      outcome.set_namespace_(name.ns);
      outcome.set_name(name.name);
      if (target.skipped) {
        if (!target.by_name) outcome.set_action(v1::ApplicationOutcome::ACTION_SKIPPED);
        outcome.set_message(target.skip_reason);
        continue;
      }
      names.push_back(name);
      SetOutcome(target, outcome);
    }
    *response.mutable_output() = ToStruct(AppsOutput(std::move(names)));
    return response;
  }

  void SetOutcome(const UpdateTarget& target, v1::ApplicationOutcome& outcome) const {
    const argocd::Application& application = *target.application;
    if (application.operation_state) {
      outcome.set_operation_phase(application.operation_state->phase);
    }
    outcome.set_message(target.verdict.message);
    outcome.mutable_desired_revisions()->Add(target.match.desired_revisions.begin(),
                                             target.match.desired_revisions.end());
    const auto written = written_.find(application.name);
    if (written != written_.end()) {
      outcome.set_action(v1::ApplicationOutcome::ACTION_SYNC_STARTED);
      outcome.set_patch(written->second);
      // What was read is the state of an earlier operation, and the patch removed it.
      if (target.verdict.kind == Kind::kWrite) outcome.clear_operation_phase();
      return;
    }
    switch (target.verdict.kind) {
      case Kind::kDone:
        outcome.set_action(v1::ApplicationOutcome::ACTION_NONE);
        break;
      case Kind::kOperationRunning:
      case Kind::kOtherOperationRunning:
      case Kind::kAwaitingRetry:
        outcome.set_action(v1::ApplicationOutcome::ACTION_WAITED);
        break;
      case Kind::kWrite:
        if (request_.dry_run()) SetDryRunOutcome(target, outcome);
        break;
      default:
        break;
    }
  }

  void SetDryRunOutcome(const UpdateTarget& target, v1::ApplicationOutcome& outcome) const {
    outcome.set_action(v1::ApplicationOutcome::ACTION_SYNC_STARTED);
    outcome.set_message(base::StrCat("dry run, not written: ", target.verdict.message));
    outcome.set_patch(Prepare(target).patch);
  }

  // Attempts that were recorded and certainly not made would otherwise run out without a single
  // operation: on a server that refuses, or with callers that give up early.
  void ReleaseUnmadeAttempts() {
    if (unmade_.empty()) return;
    base::Context context(kReleaseTimeout);
    absl::Status status;
    for (int i = 0; i < kMaxConflicts; ++i) {
      status = ReleaseOnce(context);
      if (!absl::IsAborted(status)) break;
    }
    if (!status.ok()) {
      call_.log.Warning("attempts that were not made stay on record",
                        {{"error", base::ToStd(status.message())}});
    }
  }

  absl::Status ReleaseOnce(base::Context& context) {
    absl::StatusOr<stages::StoredStage> stage =
        deps_.stages.Load(request_.project(), request_.stage(), context);
    if (!stage.ok()) return stage.status();
    if (stages::FindStep(stage->record, request_.promotion(), request_.step()) == nullptr) {
      return absl::OkStatus();
    }
    bool changed = false;
    for (stages::StepRecord& step : stage->record.steps) {
      if (step.step != request_.step() || step.config_hash != config_hash_) continue;
      for (stages::ApplicationRecord& application : step.applications) {
        const auto unmade = unmade_.find(application.name);
        if (unmade == unmade_.end()) continue;
        const argocd::AttemptRecord before = application.attempts;
        GiveBack(unmade->second, application.attempts);
        changed = changed || application.attempts != before;
      }
    }
    return changed ? deps_.stages.Save(*stage, context) : absl::OkStatus();
  }

  const ArgocdUpdate::Options& options_;
  const ArgocdUpdate::Dependencies& deps_;
  const v1::RunStepRequest& request_;
  const StepCall& call_;
  const ArgocdUpdateConfig config_;
  const std::string config_hash_;
  base::Context& context_;

  // Of the current pass.
  std::vector<UpdateTarget> targets_;                 // in the order of the configuration
  std::map<ApplicationName, std::size_t> place_;      // in targets_
  std::vector<std::vector<ApplicationPtr>> entries_;  // per entry of `apps`

  // Over all passes.
  std::map<ApplicationName, std::string> written_;  // the patches
  std::map<ApplicationName, Unmade> unmade_;
  std::map<ApplicationName, SentWrite> unknown_;  // sent and not answered
  bool looked_after_failure_ = false;
  std::string last_conflict_;
};

}  // namespace

std::string_view ArgocdUpdate::description() const {
  return "Changes the sources of Argo CD Applications and syncs them, once per promotion, and "
         "succeeds when Argo CD has deployed what is desired. The Applications must authorize the "
         "Stage by the annotation kargo.akuity.io/authorized-stage.";
}

std::string_view ArgocdUpdate::config_schema() const { return ArgocdUpdateConfigSchema(); }

absl::StatusOr<v1::RunStepResponse> ArgocdUpdate::Run(const StepCall& call,
                                                      base::Context& context) {
  const json config_json = ToJson(call.request.config());
  ArgocdUpdateConfig config;
  const std::vector<Violation> violations = ParseArgocdUpdateConfig(config_json, config);
  if (!violations.empty()) return InvalidConfig(violations);
  return UpdateExecution(options_, dependencies_, call, std::move(config),
                         HashOfConfig(config_json), context)
      .Execute();
}

}  // namespace gantry::steps
