// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_RECORD_H_
#define GANTRY_SERVER_STAGES_STAGE_RECORD_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/health.pb.h"
#include "gantry/v1/step.pb.h"
#include "server/argocd/application.h"
#include "server/stages/attempt_record.h"

namespace gantry::stages {

// What Gantry remembers of a Stage: the `spec` of its StageHealth resource. A plain value; the
// functions below are the only rules by which it changes. stage_record_json.h has its form in JSON,
// and StageStore reads and writes it.

inline constexpr std::size_t kMaxSupersededPromotions = 64;
inline constexpr std::size_t kMaxMessageBytes = 1024;
inline constexpr std::size_t kMaxIndicators = 100;
// Of all ended waits together: how many, and on how many Applications.
inline constexpr std::size_t kMaxEndedWaits = 64;
inline constexpr std::size_t kMaxEndedWaitApplications = 1000;

// One Application in one step of the current promotion.
struct ApplicationRecord {
  argocd::ApplicationName name;
  AttemptRecord attempts;
  std::vector<std::string> desired_revisions;  // one per source
  bool operator==(const ApplicationRecord&) const = default;
};

// One step of the current promotion.
struct StepRecord {
  std::string step;  // its alias
  std::string uses;
  std::string config_hash;
  v1::StepStatus status = v1::STEP_STATUS_UNSPECIFIED;  // of its latest recorded answer
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;
  std::string message;
  std::vector<ApplicationRecord> applications;  // ordered by name
  bool operator==(const StepRecord&) const = default;
};

// The SUCCEEDED or FAILED response of a step, of a promotion that is not the current one, that made
// no attempt on any Application, as steps that only wait do: it takes nobody's place, and yet what
// it has said once stays so.
struct EndedWaitRecord {
  std::string promotion;  // its hash
  StepRecord step;
  bool operator==(const EndedWaitRecord&) const = default;
};

struct PromotionRecord {
  std::string name;  // empty: none ever ran
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_UNSPECIFIED;
  std::string message;
  absl::Time update_time = absl::UnixEpoch();
  // ReportPromotion was used for it, so only that can say SUCCEEDED.
  bool reported = false;
  bool operator==(const PromotionRecord&) const = default;
};

// A registered check: what an Application has to look like for the Stage to be healthy.
struct HealthCheckRecord {
  argocd::ApplicationName application;
  std::string promotion;                       // that registered it last
  std::vector<std::string> desired_revisions;  // one per source
  // The Application as it was read when the step was found to have succeeded: its resourceVersion
  // and when its last operation had finished. What is older says nothing of what was promoted.
  std::string resource_version = {};
  std::optional<absl::Time> finished_at = std::nullopt;
  bool operator==(const HealthCheckRecord&) const = default;
};

struct IndicatorRecord {
  std::string name;
  v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
  std::string message;
  // Since when it has been reported to be in this state, without having expired meanwhile.
  absl::Time report_time = absl::UnixEpoch();
  std::optional<absl::Time> expire_time;  // nothing: never
  bool operator==(const IndicatorRecord&) const = default;
};

struct StageRecord {
  std::string project;
  std::string stage;
  PromotionRecord promotion;
  std::vector<StepRecord> steps;                   // in the order they were first recorded
  std::vector<HealthCheckRecord> health_checks;    // ordered by Application
  std::vector<std::string> superseded_promotions;  // hashes, the latest last
  std::vector<EndedWaitRecord> ended_waits;        // the latest last
  std::vector<IndicatorRecord> indicators;         // ordered by name, at most kMaxIndicators
  bool operator==(const StageRecord&) const = default;
};

// A short name for something long, equal for equal input on every machine and version.
std::string HashOf(std::string_view text);

// True when `promotion` was current once and is not any more: it must not write any longer.
bool IsSuperseded(const StageRecord& record, std::string_view promotion);

// Makes `promotion` the current one; the one before it is superseded and its steps are forgotten,
// but for those that have ended without an attempt on any Application. Nothing changes when it is
// current already. It must not be superseded.
void MakeCurrent(StageRecord& record, std::string_view promotion);

// The record of a step of `promotion`, or null: it is not the current one, or the step was never
// recorded.
const StepRecord* FindStep(const StageRecord& record, std::string_view promotion,
                           std::string_view step);
// The record of an ended wait of a promotion that is not the current one, or null.
const StepRecord* FindEndedWait(const StageRecord& record, std::string_view promotion,
                                std::string_view step);
// Adds one, or replaces that of the same name; the oldest go when there are too many.
void RecordEndedWait(StageRecord& record, std::string_view promotion, StepRecord step);

// The record of a step of the current promotion, made when there is none. A different
// configuration under the same name starts anew, behind the attempts made before.
StepRecord& EnsureStep(StageRecord& record, std::string_view step, std::string_view uses,
                       std::string_view config_hash);

const ApplicationRecord* FindApplication(const StepRecord& step,
                                         const argocd::ApplicationName& name);
ApplicationRecord& EnsureApplication(StepRecord& step, const argocd::ApplicationName& name);

// What `step` of `promotion` has on record for `name`. A step with nothing on record, or recorded
// with another configuration, starts counting after what was attempted before it.
AttemptRecord AttemptsOf(const StageRecord& record, std::string_view promotion,
                         std::string_view step, std::string_view config_hash,
                         const argocd::ApplicationName& name);

// Stores a step's answer (RUNNING, FAILED or SUCCEEDED) and lets the promotion's phase follow from
// the latest answers of its steps: RUNNING before FAILED before SUCCEEDED. When the promotion
// SUCCEEDED as a whole and registered checks, those of older promotions go.
void RecordAnswer(StageRecord& record, StepRecord& step, v1::StepStatus status,
                  v1::StepReason reason, std::string_view message, absl::Time now);

// Replaces the check of the same Application; its promotion is the current one, whatever it says.
// Within one promotion, per source, the later non-empty revision wins.
void RegisterHealthCheck(StageRecord& record, HealthCheckRecord check);

// Takes a report on a promotion as a whole. RUNNING makes it the current promotion; any other phase
// of one that was never seen does so only when none is RUNNING. A promotion that was superseded is
// not heard any more: false, and nothing has changed. The phase overrides what follows from the
// steps, and from now on only another report can say SUCCEEDED of this promotion.
bool ReportPromotion(StageRecord& record, std::string_view promotion, v1::PromotionPhase phase,
                     std::string_view message, absl::Time now);

// Sets or replaces the indicator of that name; `ttl` of nothing: it never expires. False, and
// nothing has changed: there are kMaxIndicators others.
bool ReportIndicator(StageRecord& record, std::string_view name, v1::HealthState state,
                     std::string_view message, std::optional<absl::Duration> ttl, absl::Time now);
// False when there is none of that name.
bool RemoveIndicator(StageRecord& record, std::string_view name);

// Takes out what follows from the rest and is not stored, so that the record equals the one that is
// read back.
void KeepWhatIsStored(StageRecord& record);

// At most kMaxMessageBytes of `text`, cut between two characters.
std::string CutMessage(std::string_view text);

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_RECORD_H_
