// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_CHOICE_H_
#define GANTRY_TESTS_VERDICTS_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace gantry::verdicts {

// Random choices that are the same on every machine for the same seed (SplitMix64; the
// distributions of the standard library are not specified to the bit). One thread.
class Choice {
 public:
  explicit Choice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
  }
  // In [0, count).
  int Below(int count) { return static_cast<int>(Next() % static_cast<std::uint64_t>(count)); }
  int Between(int first, int last) { return first + Below(last - first + 1); }
  bool Percent(int percent) { return Below(100) < percent; }
  std::string Of(std::initializer_list<const char*> words) {
    return *(words.begin() + Below(static_cast<int>(words.size())));
  }
  template <typename Value>
  const Value& Of(const std::vector<Value>& values) {
    return values[static_cast<std::size_t>(Below(static_cast<int>(values.size())))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_CHOICE_H_
