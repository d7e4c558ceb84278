// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_FLAGS_H_
#define GANTRY_CLIENT_GANTRYCTL_FLAGS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/gantryctl/command_line.h"

// What flags each command has. Values that never change; any thread.
namespace gantry::gantryctl {

// Takes a flag's text. Returns what was expected when the text is not that.
template <typename Flags>
using Setter = std::function<std::optional<std::string>(const std::string&, Flags&)>;

template <typename Flags>
struct Flag {
  enum class Kind { kValue, kSwitch, kPosition };

  std::string spelling;  // as CLI11 takes it
  std::string name;      // as usage errors name it
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string variable;       // empty: none
  bool required = false;
  Setter<Flags> set;
  Kind kind = Kind::kValue;
};

template <typename Flags>
using FlagList = std::vector<Flag<Flags>>;

// In the order of the help.
FlagList<RunStepFlags> FlagsOfRunStep();
FlagList<HealthFlags> FlagsOfHealth();
FlagList<StepsFlags> FlagsOfSteps();
FlagList<ReportPromotionFlags> FlagsOfReportPromotion();
FlagList<ReportIndicatorFlags> FlagsOfReportIndicator();
// What a line that is still being typed says about the service.
FlagList<CompleteFlags> FlagsOfCompletion();

// The words that --state takes, as the help has them.
inline constexpr char kStates[] = "healthy|not-applicable|progressing|unknown|unhealthy";

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_FLAGS_H_
