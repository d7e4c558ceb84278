// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_RANDOM_H_
#define GANTRY_BASE_RANDOM_H_

namespace gantry::base {

// Randomness for jitter, injected so that tests see exact delays. Any thread.
class Random {
 public:
  virtual ~Random() = default;
  // Uniform in [0, 1).
  virtual double Uniform() = 0;
};

// A generator seeded from the operating system. Lives as long as the process.
Random& SystemRandom();

}  // namespace gantry::base

#endif  // GANTRY_BASE_RANDOM_H_
