// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_FAKE_TIMING_H_
#define GANTRY_TESTS_CLIENT_FAKE_TIMING_H_

#include <vector>

#include "gantry/client/timing.h"

namespace gantry::client {

inline constexpr absl::Duration kSecond = absl::Seconds(1);

// Time that passes only when somebody sleeps or a test lets it, and a fixed "random" number.
class FakeTiming : public Timing {
 public:
  explicit FakeTiming(double random = 0) : random_(random) {}

  absl::Duration Now() override { return now_; }
  void Sleep(absl::Duration duration) override {
    sleeps.push_back(duration);
    now_ += duration;
  }
  double Random() override { return random_; }

  void Pass(absl::Duration duration) { now_ += duration; }

  std::vector<absl::Duration> sleeps;

 private:
  // Not zero, so that nothing takes it for the time since the start.
  absl::Duration now_ = absl::Hours(1000);
  const double random_;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_FAKE_TIMING_H_
