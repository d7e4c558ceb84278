// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_SELECTORS_H_
#define GANTRY_TESTS_SIMULATOR_SELECTORS_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulator/api_status.h"

namespace gantry::simulator {

using StringMap = std::map<std::string, std::string>;

// A label selector as a query has it: `a=b,c in (d,e),!f,g>5`. A value; any thread may use it.
class LabelSelector {
 public:
  // The error is a 400 as the API server words it.
  static Result<LabelSelector> Parse(const std::string& text);
  bool empty() const { return requirements_.empty(); }
  bool Matches(const StringMap& labels) const;

 private:
  enum class Operator { kIn, kNotIn, kExists, kNotExists, kGreater, kLess };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;
  };
  friend class LabelParser;
  std::vector<Requirement> requirements_;
};

// A field selector: `metadata.name=a,type!=Normal`. A value; any thread may use it.
class FieldSelector {
 public:
  // `supported` tells which fields a resource can be selected by.
  static Result<FieldSelector> Parse(const std::string& text,
                                     const std::function<bool(const std::string&)>& supported);
  bool empty() const { return terms_.empty(); }
  // A field that is not in `fields` counts as an empty one.
  bool Matches(const StringMap& fields) const;

 private:
  struct Term {
    std::string field;
    std::string value;
    bool equal = true;
  };
  std::vector<Term> terms_;
};

// Why text cannot be the key or the value of a label, as the API server words it; empty when it
// can.
std::string WhyNoQualifiedName(std::string_view text);
std::string WhyNoLabelValue(std::string_view text);
// The same of an object's name.
std::string WhyNoSubdomain(std::string_view text);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_SELECTORS_H_
