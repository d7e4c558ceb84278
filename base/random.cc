// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <random>

namespace gantry::base {
namespace {

class RealRandom final : public Random {
 public:
  double Uniform() override {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
  }
};

}  // namespace

Random& SystemRandom() {
  static RealRandom random;
  return random;
}

}  // namespace gantry::base
