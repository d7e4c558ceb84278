// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_FAKES_FAKE_CLOCK_H_
#define GANTRY_TESTS_FAKES_FAKE_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace gantry::testing {

// Time that stands still until a test advances it. Any thread.
class FakeClock final : public base::Clock {
 public:
  absl::Time Now() const override { return start_ + passed(); }
  // A machine that booted an hour before the test began.
  absl::Duration SinceBoot() const override { return absl::Hours(1) + passed(); }

  void Advance(absl::Duration duration) { passed_ += absl::ToInt64Nanoseconds(duration); }

 private:
  absl::Duration passed() const { return absl::Nanoseconds(passed_.load()); }

  const absl::Time start_ = absl::FromUnixSeconds(1'700'000'000);
  std::atomic<std::int64_t> passed_{0};
};

}  // namespace gantry::testing

#endif  // GANTRY_TESTS_FAKES_FAKE_CLOCK_H_
