// SPDX-License-Identifier: Apache-2.0
#include "server/steps/step_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/retry.h"
#include "base/strings.h"
#include "server/argocd/authorization.h"
#include "server/kubernetes/api/error.h"
#include "server/steps/application_writer.h"
#include "server/steps/attempt_ledger.h"
#include "server/steps/kubernetes_failure.h"
#include "server/steps/record_guard.h"
#include "server/steps/response.h"

namespace gantry::steps {
namespace {

// After something that is likely to have passed by then.
constexpr absl::Duration kPassingFailureRetry = absl::Seconds(2);
// For giving back attempts that were reserved and not made, also when the caller has gone.
constexpr absl::Duration kReleaseTimeout = absl::Seconds(2);
StepResult Ended(v1::RunStepResponse response) { return {std::move(response), {}}; }

}  // namespace

// One run of a step. Lives on the stack of the worker that makes it.
class StepEngine::Execution {
 public:
  Execution(const StepEngine& engine, const StepCall& call, base::Context& context)
      : options_(engine.options_),
        scope_(engine.scope_),
        deps_(engine.deps_),
        call_(call),
        id_(call.identity),
        context_(context),
        writer_(deps_.applications, deps_.events, deps_.helpers, call.log,
                {call.caller, call.request->actor()}) {}

  absl::StatusOr<StepResult> Execute() {
    if (auto running = RunningFromCache()) return *std::move(running);
    absl::StatusOr<StepResult> result = MakePasses();
    for (const auto& [name, sent] : ledger_.unknown()) writer_.TellUnknown(sent);
    ReleaseAttempts();
    return result;
  }

 private:
  // Nothing: something has changed under the pass, and it is to be made again.
  using PassResult = absl::StatusOr<std::optional<StepResult>>;

  // What is known of the Stage's record at the beginning of a pass.
  struct Record {
    stages::StoredStage stored;
    bool live = false;
  };

  absl::StatusOr<StepResult> MakePasses() {
    std::optional<StepResult> result;
    bool record_from_cache = true;
    const absl::StatusOr<base::AttemptOutcome> outcome = base::RetryOnConflict(
        {.attempts = kMaxConflicts, .first_delay = kConflictBackoff}, deps_.random, deps_.sleeper,
        context_, [&]() -> absl::StatusOr<base::AttemptOutcome> {
          PassResult pass = Pass(std::exchange(record_from_cache, false));
          // That the watch had not brought the record up to date yet is nobody's conflict.
          if (pass.ok() && !*pass && cached_record_was_old_) pass = Pass(false);
          if (!pass.ok()) return pass.status();
          result = *std::move(pass);
          return result ? base::AttemptOutcome::kDone : base::AttemptOutcome::kConflict;
        });
    if (!outcome.ok()) return outcome.status();
    if (result) return *std::move(result);
    const v1::StepReason reason = !id_.changes_applications   ? v1::STEP_REASON_NOT_READY
                                  : ledger_.written().empty() ? v1::STEP_REASON_AWAITING_RETRY
                                                              : v1::STEP_REASON_OPERATION_RUNNING;
    return Running(reason,
                   base::StrCat("the Application or the Stage's record was changed by others ",
                                kMaxConflicts, " times between reading and writing it (last: ",
                                last_conflict_, "); call again"),
                   kPassingFailureRetry);
  }

  PassResult Pass(bool record_from_cache) {
    cached_record_was_old_ = false;
    absl::StatusOr<Record> record = LoadRecord(record_from_cache);
    if (!record.ok()) return KubernetesFailure(record.status(), context_);
    if (auto ended = ResponseFromRecord(record->stored.record)) {
      return RespondIfCurrent(*std::move(ended), *record);
    }
    absl::StatusOr<Resolution> resolution =
        Resolve(deps_.applications, deps_.helpers, scope_, call_.selections, context_);
    if (!resolution.ok()) return KubernetesFailure(resolution.status(), context_);
    plan_ = Evaluate(*std::move(resolution), record->stored.record);
    TellOfFoundWrites();
    RequestRefreshes();
    const Conclusion conclusion = Conclude(plan_);
    if (call_.request->dry_run()) return RespondIfCurrent(DryRun(conclusion), *record);

    stages::StageRecord changed = record->stored.record;
    if (!RecordPlan(plan_, conclusion, id_, deps_.clock.Now(), changed)) {
      return RespondIfCurrent(Respond(conclusion), *record);
    }
    record->stored.record = std::move(changed);
    const absl::Duration saved_at = deps_.clock.SinceBoot();
    const absl::StatusOr<bool> saved = Save(*record);
    if (!saved.ok()) return saved.status();
    if (!*saved) return std::nullopt;
    if (conclusion.status == v1::STEP_STATUS_RUNNING && plan_.Any(Verdict::kWrites)) {
      ledger_.Reserved(plan_);
      return Write(record->stored, saved_at);
    }
    ledger_.Forget();
    StepResult result = Respond(conclusion);
    if (conclusion.status == v1::STEP_STATUS_SUCCEEDED && id_.changes_applications) {
      *result.response.mutable_health_check() =
          HealthCheckOf(id_.uses, *FindRecorded(record->stored.record, id_));
    }
    return result;
  }

  absl::StatusOr<Record> LoadRecord(bool from_cache) {
    if (from_cache) {
      if (auto known = deps_.caches.FindRecord({id_.project, id_.stage})) {
        return Record{*std::move(known), /*live=*/false};
      }
    }
    absl::StatusOr<stages::StoredStage> loaded =
        deps_.stages.Load(id_.project, id_.stage, context_);
    if (!loaded.ok()) return loaded.status();
    return Record{*std::move(loaded), /*live=*/true};
  }

  // A verdict that nothing is saved for holds on a live record alone. One from the cache is read
  // now; when it has changed meanwhile, the pass is made again.
  PassResult RespondIfCurrent(StepResult result, const Record& record) {
    if (record.live) return result;
    const absl::StatusOr<stages::StoredStage> now =
        deps_.stages.Load(id_.project, id_.stage, context_);
    if (!now.ok()) return KubernetesFailure(now.status(), context_);
    if (now->record == record.stored.record) return result;
    cached_record_was_old_ = true;
    return std::nullopt;
  }

  // False: the record was changed by somebody else meanwhile.
  absl::StatusOr<bool> Save(Record& record) {
    const absl::StatusOr<stages::SaveOutcome> saved = deps_.stages.Save(record.stored, context_);
    if (!saved.ok()) {
      // What is on record now is not known, and another replica may have reserved the same number.
      ledger_.Forget();
      return KubernetesFailure(saved.status(), context_);
    }
    if (*saved == stages::SaveOutcome::kConflict) {
      cached_record_was_old_ = !record.live;
      last_conflict_ = base::StrCat("the record of Stage ", id_.project, "/", id_.stage);
      return false;
    }
    return true;
  }

  // What was once recorded as SUCCEEDED, or as failed for good, stays so; and a promotion that was
  // superseded writes nothing any more.
  std::optional<StepResult> ResponseFromRecord(const stages::StageRecord& record) const {
    if (id_.changes_applications && stages::IsSuperseded(record, id_.promotion)) {
      return Ended(Superseded(id_.promotion, record.promotion.name));
    }
    const stages::StepRecord* ended = FindEnded(record, id_);
    if (ended == nullptr) return std::nullopt;
    return Ended(RecordedResponse(*ended, id_, deps_.caches));
  }

  StepPlan Evaluate(Resolution resolution, const stages::StageRecord& record) const {
    if (resolution.refusal) {
      StepPlan refused;
      refused.refusal = std::move(resolution.refusal);
      return refused;
    }
    StepInput input = MakeInput(call_, options_.operation_initiator, options_.max_sync_attempts,
                                deps_.clock.Now());
    input.entries = std::move(resolution.entries);
    for (cache::LiveApplication& live : resolution.applications) {
      Candidate& candidate = input.candidates.emplace_back();
      candidate.authorization = argocd::Authorizes(*live.application, id_.project, id_.stage);
      candidate.attempts = stages::AttemptsOf(record, id_.promotion, id_.step, id_.config_hash,
                                              live.application->name);
      ledger_.GiveBack(live.application->name, candidate.attempts);
      candidate.application = std::move(live.application);
      candidate.live = std::move(live.live);
    }
    for (std::size_t e = 0; e < input.entries.size(); ++e) {
      if (call_.selections[e].name.empty()) continue;
      for (const std::size_t i : input.entries[e]) input.candidates[i].by_name = true;
    }
    return call_.step->Evaluate(input);
  }

  // RUNNING, when the watches say so: the step is under way, and nobody has to write or record
  // anything. Nothing: a live read has to tell.
  std::optional<StepResult> RunningFromCache() {
    if (call_.request->dry_run()) return std::nullopt;
    const cache::CachedStagePtr stage =
        deps_.caches.FindFresh(cache::StageName{id_.project, id_.stage});
    if (stage == nullptr || !stage->problem.empty()) return std::nullopt;
    if (ResponseFromRecord(stage->record)) return std::nullopt;
    const stages::StepRecord* step = FindRecorded(stage->record, id_);
    if (id_.changes_applications && (step == nullptr || step->status != v1::STEP_STATUS_RUNNING)) {
      return std::nullopt;
    }
    auto resolution = ResolveFromCache(deps_.caches, scope_, call_.selections);
    if (!resolution) return std::nullopt;
    plan_ = Evaluate(*std::move(resolution), stage->record);
    const Conclusion conclusion = Conclude(plan_);
    if (conclusion.status != v1::STEP_STATUS_RUNNING) return std::nullopt;
    for (const ApplicationPlan& application : plan_.applications) {
      if (application.verdict == Verdict::kSkipped) continue;
      const bool unrecorded =
          id_.changes_applications &&
          stages::FindApplication(*step, application.application->name) == nullptr;
      if (unrecorded || application.verdict == Verdict::kWrites || WantsRefresh(application)) {
        return std::nullopt;
      }
    }
    stages::StageRecord changed = stage->record;
    if (RecordPlan(plan_, conclusion, id_, deps_.clock.Now(), changed)) return std::nullopt;
    return Respond(conclusion);
  }

  // A write that was not answered: what was read now tells whether it happened.
  void TellOfFoundWrites() {
    for (const ApplicationPlan& application : plan_.applications) {
      if (const auto found = ledger_.Found(*application.application, id_.promotion)) {
        writer_.TellWritten(*found);
      }
    }
  }

  bool WantsRefresh(const ApplicationPlan& application) const {
    return application.wants_refresh &&
           deps_.applications.MayRequestRefresh(application.application->name);
  }

  // A request that fails is made again by the next call.
  void RequestRefreshes() {
    if (call_.request->dry_run()) return;
    for (const ApplicationPlan& application : plan_.applications) {
      if (!WantsRefresh(application)) continue;
      deps_.applications.RequestRefresh(*application.application, context_).IgnoreError();
    }
  }

  PassResult Write(const stages::StoredStage& stage, absl::Duration saved_at) {
    std::vector<ApplicationPlan*> planned;
    std::vector<SentWrite> writes;
    for (ApplicationPlan& application : plan_.applications) {
      if (!application.write) continue;
      planned.push_back(&application);
      writes.push_back({application.application, *application.write,
                        absl::StrJoin(application.desired_revisions, ",")});
    }
    RecordGuard guard(deps_.stages, deps_.caches, deps_.clock, id_, stage, saved_at);
    const std::vector<WriteResult> results = writer_.Write(
        writes, [&](const SentWrite& write) { return guard.Check(write, context_); }, context_);

    const WriteResult* worst = nullptr;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const WriteResult& result = results[i];
      if (result.kind == WriteResult::Kind::kWritten) {
        ledger_.Made(writes[i]);
        planned[i]->message =
            base::StrCat("started the sync of Application ", ToString(writes[i].application->name));
        continue;
      }
      if (!result.certainly_not_written) ledger_.MayBeMade(writes[i]);
      if (!result.status.ok()) planned[i]->message = std::string(result.status.message());
      if (worst == nullptr || result.kind > worst->kind) worst = &result;
    }
    if (worst == nullptr) return Respond(Conclude(plan_));
    return AfterFailedWrite(*worst);
  }

  PassResult AfterFailedWrite(const WriteResult& worst) {
    switch (worst.kind) {
      case WriteResult::Kind::kSuperseded:
        return Ended(WithOutcomes(Superseded(id_.promotion, worst.newer_promotion)));
      case WriteResult::Kind::kRefused:
        return Ended(
            WithOutcomes(MakeResponse(v1::STEP_STATUS_ERRORED, v1::STEP_REASON_WRITE_REFUSED,
                                      base::StrCat("the API server refused a write: ",
                                                   base::ToStd(worst.status.message())))));
      case WriteResult::Kind::kFailed:
        return AfterPassingFailure(worst);
      default:
        last_conflict_ = std::string(worst.status.message());
        return std::nullopt;
    }
  }

  PassResult AfterPassingFailure(const WriteResult& failure) {
    if (context_.Check().ok() && !failure.certainly_not_written && !looked_after_failure_) {
      // The write may have happened: look before anything else is said.
      looked_after_failure_ = true;
      last_conflict_ = std::string(failure.status.message());
      return std::nullopt;
    }
    if (ledger_.written().empty()) return KubernetesFailure(failure.status, context_);
    const absl::Duration asked = kubernetes::DetailOf(failure.status).retry_after;
    return Running(v1::STEP_REASON_OPERATION_RUNNING,
                   base::StrCat("some Applications were written, another could not be: ",
                                base::ToStd(failure.status.message())),
                   std::max(asked, kPassingFailureRetry));
  }

  v1::RunStepResponse WithOutcomes(v1::RunStepResponse response) const {
    AddOutcomes(plan_, ledger_.written(), call_.request->dry_run(), response);
    return response;
  }

  StepResult Respond(const Conclusion& conclusion) const {
    StepResult result =
        Ended(WithOutcomes(MakeResponse(conclusion.status, conclusion.reason, conclusion.message)));
    if (conclusion.status != v1::STEP_STATUS_RUNNING) return result;
    std::optional<absl::Duration> due;
    if (conclusion.due) due = *conclusion.due - deps_.clock.Now();
    SetWakeOn(due, result);
    return result;
  }

  StepResult Running(v1::StepReason reason, std::string message, absl::Duration due) const {
    StepResult result =
        Ended(WithOutcomes(MakeResponse(v1::STEP_STATUS_RUNNING, reason, std::move(message))));
    SetWakeOn(due, result);
    return result;
  }

  void SetWakeOn(std::optional<absl::Duration> due, StepResult& result) const {
    result.wake_on.applications = plan_.Names();
    for (const ApplicationSelection& selection : call_.selections) {
      if (selection.name.empty()) result.wake_on.selectors.push_back(selection);
    }
    result.wake_on.due = due;
    if (due) SetRetryAfter(*due, result.response);
  }

  // A dry run never ends a step: what would end it is told of as RUNNING.
  StepResult DryRun(Conclusion conclusion) const {
    if (conclusion.status == v1::STEP_STATUS_SUCCEEDED) {
      conclusion.status = v1::STEP_STATUS_RUNNING;
      conclusion.reason =
          id_.changes_applications ? v1::STEP_REASON_OPERATION_RUNNING : v1::STEP_REASON_NOT_READY;
      conclusion.message = base::StrCat("dry run: ", conclusion.message,
                                        "; a call that may record this will succeed");
    } else if (conclusion.status == v1::STEP_STATUS_RUNNING && id_.changes_applications) {
      conclusion.message =
          base::StrCat(plan_.Any(Verdict::kWrites) ? "dry run, nothing was written: " : "dry run: ",
                       conclusion.message);
    }
    return Respond(conclusion);
  }

  void ReleaseAttempts() {
    if (!ledger_.HasReservations()) return;
    base::Context context(kReleaseTimeout);
    const absl::Status released = deps_.stages.Update(
        id_.project, id_.stage,
        [&](stages::StageRecord& record) { return ledger_.Release(id_, record); }, deps_.random,
        deps_.sleeper, context);
    if (!released.ok()) {
      call_.log.Warning("attempts that were not made stay on record",
                        {{"error", base::ToStd(released.message())}});
    }
  }

  const Options& options_;
  const Scope& scope_;
  const Dependencies& deps_;
  const StepCall& call_;
  const StepIdentity& id_;
  base::Context& context_;

  StepPlan plan_;  // of the current pass
  // Over all passes.
  AttemptLedger ledger_;
  ApplicationWriter writer_;
  bool looked_after_failure_ = false;
  bool cached_record_was_old_ = false;
  std::string last_conflict_;
};

absl::StatusOr<StepResult> StepEngine::Run(const StepCall& call, base::Context& context) {
  return Execution(*this, call, context).Execute();
}

}  // namespace gantry::steps
