// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_SUMMARY_H_
#define GANTRY_TESTS_VERDICTS_SUMMARY_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace gantry::verdicts {

// In how many cases something was seen at least once: statuses with their reasons, what was done
// about an Application and why, health. Shows whether the random cases reach every rule.
class Summary {
 public:
  void Add(const nlohmann::json& verdicts);
  int cases_with(const std::string& what) const {
    const auto found = cases_.find(what);
    return found == cases_.end() ? 0 : found->second;
  }
  std::string Table() const;

 private:
  std::map<std::string, int> cases_;
  int all_ = 0;
};

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_SUMMARY_H_
