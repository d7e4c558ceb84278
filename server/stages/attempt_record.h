// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_ATTEMPT_RECORD_H_
#define GANTRY_SERVER_STAGES_ATTEMPT_RECORD_H_

namespace gantry::stages {

// What the Stage's record knows of one Application in one step of one promotion. Attempts are
// numbered per promotion and Application, so that an operation's number tells which step of the
// promotion it belongs to.
struct AttemptRecord {
  int earlier = 0;  // the last attempt that was somebody else's before our first: of another step,
                    // or of this one with another configuration
  int last = 0;     // the last attempt on record for us; not above `earlier`: none
  int unmade = 0;   // how many of ours were recorded and certainly not made
  bool done = false;  // this step has seen its work on the Application done
  int others = 0;     // the last attempt on record for the promotion's other steps

  // How many attempts count for us.
  int made() const { return last > earlier ? last - earlier - unmade : 0; }
  bool operator==(const AttemptRecord&) const = default;
};

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_ATTEMPT_RECORD_H_
