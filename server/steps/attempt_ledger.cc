// SPDX-License-Identifier: Apache-2.0
#include "server/steps/attempt_ledger.h"

#include "base/strings.h"

namespace gantry::steps {

void AttemptLedger::GiveBack(const argocd::ApplicationName& name,
                             stages::AttemptRecord& attempts) const {
  const auto reserved = reserved_.find(name);
  if (reserved == reserved_.end()) return;
  const Reservation& reservation = reserved->second;
  if (attempts.last == reservation.attempt) {
    attempts.last = reservation.before;
  } else if (attempts.last > reservation.attempt) {
    // Another call has recorded a later one meanwhile: it is counted out.
    ++attempts.unmade;
  }
}

void AttemptLedger::Reserved(const StepPlan& plan) {
  reserved_.clear();
  for (const ApplicationPlan& application : plan.applications) {
    if (!application.write) continue;
    reserved_[application.application->name] = {application.write->attempt,
                                                application.attempts.last};
  }
}

void AttemptLedger::Made(const SentWrite& sent) {
  const argocd::ApplicationName& name = sent.application->name;
  reserved_.erase(name);
  written_[name] = sent.write.patch;
}

void AttemptLedger::MayBeMade(const SentWrite& sent) {
  reserved_.erase(sent.application->name);
  unknown_[sent.application->name] = sent;
}

std::optional<SentWrite> AttemptLedger::Found(const argocd::Application& application,
                                              std::string_view promotion) {
  const auto sent = unknown_.find(application.name);
  if (sent == unknown_.end()) return std::nullopt;
  const auto is_it = [&](const argocd::Operation& operation) {
    return operation.promotion && *operation.promotion == promotion && operation.attempt &&
           *operation.attempt == base::StrCat(sent->second.write.attempt);
  };
  if (!(application.operation && is_it(*application.operation)) &&
      !(application.operation_state && is_it(application.operation_state->operation))) {
    return std::nullopt;
  }
  SentWrite found = std::move(sent->second);
  unknown_.erase(sent);
  written_[application.name] = found.write.patch;
  return found;
}

bool AttemptLedger::Release(const StepIdentity& identity, stages::StageRecord& record) const {
  if (stages::FindStep(record, identity.promotion, identity.step) == nullptr) return false;
  bool changed = false;
  for (stages::StepRecord& step : record.steps) {
    if (step.step != identity.step || step.config_hash != identity.config_hash) continue;
    for (stages::ApplicationRecord& application : step.applications) {
      const stages::AttemptRecord before = application.attempts;
      GiveBack(application.name, application.attempts);
      changed = changed || application.attempts != before;
    }
  }
  return changed;
}

}  // namespace gantry::steps
