// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_
#define GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_

#include <algorithm>
#include <utility>
#include <vector>

#include "gantry/client/connection.h"
#include "tests/client/fake_timing.h"

namespace gantry::client {

// How one call ends.
struct ScriptedAnswer {
  absl::StatusOr<v1::RunStepResponse> outcome;
  absl::Duration takes = absl::ZeroDuration();
};

// Answers calls from a script, the last entry over and over; each takes its time on the fake clock,
// but never more than the caller allows: then it is DEADLINE_EXCEEDED. One thread.
class ScriptedConnection : public Connection {
 public:
  ScriptedConnection(std::vector<ScriptedAnswer> script, FakeTiming& timing)
      : script_(std::move(script)), timing_(timing) {}

  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                              absl::Duration timeout) override {
    requests.push_back(request);
    timeouts.push_back(timeout);
    const ScriptedAnswer& answer = script_[std::min(requests.size(), script_.size()) - 1];
    if (answer.takes > timeout) {
      timing_.Pass(timeout);
      return absl::DeadlineExceededError("too slow");
    }
    timing_.Pass(answer.takes);
    return answer.outcome;
  }

  std::vector<v1::RunStepRequest> requests;
  std::vector<absl::Duration> timeouts;

 private:
  const std::vector<ScriptedAnswer> script_;
  FakeTiming& timing_;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_
