// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ATTEMPT_LEDGER_H_
#define GANTRY_SERVER_STEPS_ATTEMPT_LEDGER_H_

#include <map>
#include <optional>
#include <string>

#include "server/argocd/application.h"
#include "server/stages/stage_record.h"
#include "server/steps/recording.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// A write as it was sent, for telling about it.
struct SentWrite {
  argocd::ApplicationPtr application;
  ApplicationPlan::Write write;
  std::string desired_revisions;  // for the audit
};

// What one call of a step knows of the attempts that it has reserved on record: which were made,
// which may have been, and which certainly were not. Attempts of the last sort would otherwise run
// out without a single operation, on a server that refuses or with callers that give up early; so
// the next pass makes them again, or, when there is none, they are given back. Lives as long as the
// call; one thread.
class AttemptLedger {
 public:
  // What is on record of `name`, without an attempt of this call that was not made.
  void GiveBack(const argocd::ApplicationName& name, stages::AttemptRecord& attempts) const;

  // The attempts of `plan` are on record now, and none of those before that were not made.
  void Reserved(const StepPlan& plan);
  // What is on record is not known, or has ended: another call may have the same numbers.
  void Forget() { reserved_.clear(); }

  // The write of a reserved attempt had a response, or was sent and had none.
  void Made(const SentWrite& sent);
  void MayBeMade(const SentWrite& sent);

  // A write without a response that `application`, read since, shows to have happened; it is made
  // then.
  std::optional<SentWrite> Found(const argocd::Application& application,
                                 std::string_view promotion);

  // The patches that this call has written.
  const std::map<argocd::ApplicationName, std::string>& written() const { return written_; }
  // The writes that nothing is known of.
  const std::map<argocd::ApplicationName, SentWrite>& unknown() const { return unknown_; }

  bool HasReservations() const { return !reserved_.empty(); }
  // Takes the attempts that were not made off the record. False: there is nothing to change.
  bool Release(const StepIdentity& identity, stages::StageRecord& record) const;

 private:
  // An attempt that is on record and whose operation was certainly not written.
  struct Reservation {
    int attempt = 0;
    int before = 0;  // what the record said of the last attempt before
  };

  std::map<argocd::ApplicationName, Reservation> reserved_;
  std::map<argocd::ApplicationName, std::string> written_;
  std::map<argocd::ApplicationName, SentWrite> unknown_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ATTEMPT_LEDGER_H_
