// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_record.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>

#include "absl/strings/escaping.h"
#include "base/text.h"

namespace gantry::stages {
namespace {

// Records keep whole seconds, so that one read back equals the one that was written.
absl::Time WholeSecond(absl::Time time) { return absl::FromUnixSeconds(absl::ToUnixSeconds(time)); }

// The latest time that an RFC 3339 text and a protobuf Timestamp can tell.
absl::Time LatestTime() {
  return absl::FromCivil(absl::CivilSecond(9999, 12, 31, 23, 59, 59), absl::UTCTimeZone());
}

// RUNNING before FAILED before SUCCEEDED.
v1::PromotionPhase PhaseOf(const std::vector<StepRecord>& steps) {
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_SUCCEEDED;
  for (const StepRecord& step : steps) {
    if (step.status == v1::STEP_STATUS_RUNNING) return v1::PROMOTION_PHASE_RUNNING;
    if (step.status == v1::STEP_STATUS_FAILED) phase = v1::PROMOTION_PHASE_FAILED;
  }
  return phase;
}

AttemptRecord StartAfter(int attempt) {
  AttemptRecord attempts;
  attempts.earlier = attempts.last = attempt;
  return attempts;
}

// A step that ended without ever reserving an attempt took nobody's place, so what it has said
// stays true of its promotion.
bool EndedAndMadeNothing(const StepRecord& step) {
  const bool ended =
      step.status == v1::STEP_STATUS_SUCCEEDED || step.status == v1::STEP_STATUS_FAILED;
  return ended && !step.applications.empty() &&
         std::none_of(step.applications.begin(), step.applications.end(),
                      [](const ApplicationRecord& application) {
                        return application.attempts.last > application.attempts.earlier;
                      });
}

void AddEndedWait(StageRecord& record, std::string promotion, StepRecord step) {
  // Nothing else of them is kept.
  for (ApplicationRecord& application : step.applications) {
    const bool done = application.attempts.done;
    application.attempts = {};
    application.attempts.done = done;
    application.desired_revisions.clear();
  }
  auto& waits = record.ended_waits;
  std::erase_if(waits, [&](const EndedWaitRecord& wait) {
    return wait.promotion == promotion && wait.step.step == step.step;
  });
  waits.push_back({std::move(promotion), std::move(step)});
  std::size_t applications = 0;
  std::size_t kept = 0;
  while (kept < std::min(waits.size(), kMaxEndedWaits)) {
    applications += waits[waits.size() - 1 - kept].step.applications.size();
    // One that is too large by itself is kept while it is the latest.
    if (kept > 0 && applications > kMaxEndedWaitApplications) break;
    ++kept;
  }
  waits.erase(waits.begin(), waits.end() - static_cast<std::ptrdiff_t>(kept));
}

void DropChecksOfOlderPromotions(StageRecord& record) {
  const auto is_current = [&](const HealthCheckRecord& check) {
    return check.promotion == record.promotion.name;
  };
  if (std::any_of(record.health_checks.begin(), record.health_checks.end(), is_current)) {
    std::erase_if(record.health_checks, std::not_fn(is_current));
  }
}

// Where the indicator of that name is, or would have to be.
std::vector<IndicatorRecord>::iterator FindIndicator(StageRecord& record, std::string_view name) {
  return std::lower_bound(record.indicators.begin(), record.indicators.end(), name,
                          [](const IndicatorRecord& indicator, std::string_view wanted) {
                            return indicator.name < wanted;
                          });
}

}  // namespace

std::string HashOf(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // Cannot fail: SHA-256 is built in and the output fits.
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  // 128 bits are enough that two names never meet.
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), 16));
}

bool IsSuperseded(const StageRecord& record, std::string_view promotion) {
  if (record.promotion.name == promotion) return false;
  const std::string hash = HashOf(promotion);
  return std::find(record.superseded_promotions.begin(), record.superseded_promotions.end(),
                   hash) != record.superseded_promotions.end();
}

void MakeCurrent(StageRecord& record, std::string_view promotion) {
  if (record.promotion.name == promotion) return;
  const std::string hash = HashOf(promotion);
  if (!record.promotion.name.empty()) {
    auto& superseded = record.superseded_promotions;
    superseded.push_back(HashOf(record.promotion.name));
    for (StepRecord& step : record.steps) {
      if (EndedAndMadeNothing(step)) AddEndedWait(record, superseded.back(), std::move(step));
    }
    if (superseded.size() > kMaxSupersededPromotions) superseded.erase(superseded.begin());
  }
  record.promotion = {.name = std::string(promotion),
                      .phase = v1::PROMOTION_PHASE_RUNNING,
                      .message = "",
                      .update_time = absl::UnixEpoch(),
                      .reported = false};
  record.steps.clear();
  // The waits that the promotion began with are its steps from now on.
  for (EndedWaitRecord& wait : record.ended_waits) {
    if (wait.promotion == hash) record.steps.push_back(std::move(wait.step));
  }
  std::erase_if(record.ended_waits,
                [&](const EndedWaitRecord& wait) { return wait.promotion == hash; });
}

const StepRecord* FindStep(const StageRecord& record, std::string_view promotion,
                           std::string_view step) {
  if (record.promotion.name != promotion) return nullptr;
  for (const StepRecord& candidate : record.steps) {
    if (candidate.step == step) return &candidate;
  }
  return nullptr;
}

const StepRecord* FindEndedWait(const StageRecord& record, std::string_view promotion,
                                std::string_view step) {
  if (record.ended_waits.empty()) return nullptr;
  const std::string hash = HashOf(promotion);
  for (const EndedWaitRecord& wait : record.ended_waits) {
    if (wait.promotion == hash && wait.step.step == step) return &wait.step;
  }
  return nullptr;
}

void RecordEndedWait(StageRecord& record, std::string_view promotion, StepRecord step) {
  AddEndedWait(record, HashOf(promotion), std::move(step));
}

StepRecord& EnsureStep(StageRecord& record, std::string_view step, std::string_view uses,
                       std::string_view config_hash) {
  for (StepRecord& found : record.steps) {
    if (found.step != step) continue;
    if (found.config_hash != config_hash) {
      found.config_hash = config_hash;
      found.uses = uses;
      found.status = v1::STEP_STATUS_UNSPECIFIED;
      found.reason = v1::STEP_REASON_UNSPECIFIED;
      found.message.clear();
      for (ApplicationRecord& application : found.applications) {
        application.attempts = StartAfter(application.attempts.last);
        application.desired_revisions.clear();
      }
    }
    return found;
  }
  StepRecord made;
  made.step = step;
  made.uses = uses;
  made.config_hash = config_hash;
  return record.steps.emplace_back(std::move(made));
}

const ApplicationRecord* FindApplication(const StepRecord& step,
                                         const argocd::ApplicationName& name) {
  for (const ApplicationRecord& application : step.applications) {
    if (application.name == name) return &application;
  }
  return nullptr;
}

ApplicationRecord& EnsureApplication(StepRecord& step, const argocd::ApplicationName& name) {
  const auto place =
      std::lower_bound(step.applications.begin(), step.applications.end(), name,
                       [](const ApplicationRecord& record, const argocd::ApplicationName& wanted) {
                         return record.name < wanted;
                       });
  if (place != step.applications.end() && place->name == name) return *place;
  ApplicationRecord made;
  made.name = name;
  return *step.applications.insert(place, std::move(made));
}

AttemptRecord AttemptsOf(const StageRecord& record, std::string_view promotion,
                         std::string_view step, std::string_view config_hash,
                         const argocd::ApplicationName& name) {
  AttemptRecord own;
  if (record.promotion.name != promotion) return own;
  int others = 0;
  for (const StepRecord& candidate : record.steps) {
    const ApplicationRecord* application = FindApplication(candidate, name);
    if (application == nullptr) continue;
    if (candidate.step == step) {
      own = candidate.config_hash == config_hash ? application->attempts
                                                 : StartAfter(application->attempts.last);
    } else {
      others = std::max(others, application->attempts.last);
    }
  }
  if (!own.done && own.last <= own.earlier) {
    own = StartAfter(std::max({own.last, own.earlier, others}));
  }
  own.others = others;
  return own;
}

void RecordAnswer(StageRecord& record, StepRecord& step, v1::StepStatus status,
                  v1::StepReason reason, std::string_view message, absl::Time now) {
  step.status = status;
  step.reason = reason;
  step.message = CutMessage(message);
  record.promotion.update_time = WholeSecond(now);
  const v1::PromotionPhase phase = PhaseOf(record.steps);
  if (record.promotion.reported) {
    const v1::PromotionPhase reported = record.promotion.phase;
    // What went wrong as a whole stays so until somebody reports something else; and what has
    // succeeded is not under way again because another step once was.
    if (reported == v1::PROMOTION_PHASE_SUCCEEDED && status == v1::STEP_STATUS_SUCCEEDED) {
      return DropChecksOfOlderPromotions(record);
    }
    if (reported != v1::PROMOTION_PHASE_RUNNING && reported != v1::PROMOTION_PHASE_SUCCEEDED) {
      return;
    }
  }
  if (phase != v1::PROMOTION_PHASE_SUCCEEDED || !record.promotion.reported) {
    record.promotion.phase = phase;
    record.promotion.message.clear();
  }
  if (phase == v1::PROMOTION_PHASE_FAILED) {
    for (const StepRecord& other : record.steps) {
      if (other.status == v1::STEP_STATUS_FAILED) record.promotion.message = other.message;
    }
  }
  // A step may register its checks after the report that the promotion has SUCCEEDED.
  if (record.promotion.phase == v1::PROMOTION_PHASE_SUCCEEDED) DropChecksOfOlderPromotions(record);
}

void RegisterHealthCheck(StageRecord& record, HealthCheckRecord check) {
  check.promotion = record.promotion.name;
  if (check.finished_at) check.finished_at = WholeSecond(*check.finished_at);
  const auto place =
      std::lower_bound(record.health_checks.begin(), record.health_checks.end(), check.application,
                       [](const HealthCheckRecord& found, const argocd::ApplicationName& wanted) {
                         return found.application < wanted;
                       });
  if (place == record.health_checks.end() || place->application != check.application) {
    record.health_checks.insert(place, std::move(check));
    return;
  }
  std::vector<std::string>& revisions = check.desired_revisions;
  if (place->promotion == check.promotion && place->desired_revisions.size() == revisions.size()) {
    for (std::size_t i = 0; i < revisions.size(); ++i) {
      if (revisions[i].empty()) revisions[i] = place->desired_revisions[i];
    }
  }
  *place = std::move(check);
}

bool ReportPromotion(StageRecord& record, std::string_view promotion, v1::PromotionPhase phase,
                     std::string_view message, absl::Time now) {
  if (IsSuperseded(record, promotion)) return false;
  // The end of a promotion that nobody knew of must not disturb the one under way.
  if (record.promotion.name != promotion && phase != v1::PROMOTION_PHASE_RUNNING &&
      record.promotion.phase == v1::PROMOTION_PHASE_RUNNING) {
    return false;
  }
  MakeCurrent(record, promotion);
  record.promotion.phase = phase;
  record.promotion.message = CutMessage(message);
  record.promotion.update_time = WholeSecond(now);
  record.promotion.reported = true;
  if (phase == v1::PROMOTION_PHASE_SUCCEEDED) DropChecksOfOlderPromotions(record);
  return true;
}

bool ReportIndicator(StageRecord& record, std::string_view name, v1::HealthState state,
                     std::string_view message, std::optional<absl::Duration> ttl, absl::Time now) {
  IndicatorRecord made{.name = std::string(name),
                       .state = state,
                       .message = CutMessage(message),
                       .report_time = WholeSecond(now),
                       .expire_time = std::nullopt};
  if (ttl) {
    const absl::Time expire_time =
        std::min(now + std::max(*ttl, absl::ZeroDuration()), LatestTime());
    // Up, so that a report never counts for less than was asked.
    made.expire_time = WholeSecond(expire_time);
    if (*made.expire_time < expire_time) *made.expire_time += absl::Seconds(1);
  }
  const auto place = FindIndicator(record, name);
  if (place != record.indicators.end() && place->name == name) {
    // Said again, it is no news.
    const bool expired = place->expire_time && *place->expire_time <= now;
    if (place->state == state && !expired && place->report_time != absl::UnixEpoch()) {
      made.report_time = place->report_time;
    }
    *place = std::move(made);
    return true;
  }
  if (record.indicators.size() >= kMaxIndicators) return false;
  record.indicators.insert(place, std::move(made));
  return true;
}

bool RemoveIndicator(StageRecord& record, std::string_view name) {
  const auto place = FindIndicator(record, name);
  if (place == record.indicators.end() || place->name != name) return false;
  record.indicators.erase(place);
  return true;
}

void KeepWhatIsStored(StageRecord& record) {
  for (StepRecord& step : record.steps) {
    for (ApplicationRecord& application : step.applications) application.attempts.others = 0;
  }
}

std::string CutMessage(std::string_view text) { return base::CutToBytes(text, kMaxMessageBytes); }

}  // namespace gantry::stages
