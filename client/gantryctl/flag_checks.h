// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_FLAG_CHECKS_H_
#define GANTRY_CLIENT_GANTRYCTL_FLAG_CHECKS_H_

#include <map>
#include <string>
#include <vector>

#include "client/gantryctl/command_line.h"

// Rules about several flags together, once each has been read. Pure; any thread.
namespace gantry::gantryctl {

// What was given, by the flags' names: how it was, as "--token" or "GANTRY_TOKEN".
using Given = std::map<std::string, std::string>;
using UsageErrors = std::vector<std::string>;

// Decides how the connection is secured, and tells what contradicts what.
void CheckService(ServiceFlags& flags, const Given& given, UsageErrors& usage_errors);

// Tells what is missing from the flags of a command, or too much.
void CheckFlags(const RunStepFlags& flags, UsageErrors& usage_errors);
void CheckFlags(const HealthFlags& flags, UsageErrors& usage_errors);
void CheckFlags(const StepsFlags& flags, UsageErrors& usage_errors);
void CheckFlags(const ReportPromotionFlags& flags, UsageErrors& usage_errors);
void CheckFlags(const ReportIndicatorFlags& flags, UsageErrors& usage_errors);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_FLAG_CHECKS_H_
