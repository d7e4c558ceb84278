// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/timing.h"

#include <chrono>
#include <random>

#include "absl/time/clock.h"

namespace gantry::client {
namespace {

class MachineTiming : public Timing {
 public:
  absl::Duration Now() override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
  void Sleep(absl::Duration duration) override { absl::SleepFor(duration); }
  void SleepUnless(absl::Duration duration, const absl::Notification& stopped) override {
    stopped.WaitForNotificationWithTimeout(duration);
  }
  double Random() override {
    thread_local std::minstd_rand engine(std::random_device{}());
    return std::uniform_real_distribution<double>(0, 1)(engine);
  }
};

}  // namespace

Timing& SystemTiming() {
  static MachineTiming timing;
  return timing;
}

}  // namespace gantry::client
