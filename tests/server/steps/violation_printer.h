// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_STEPS_VIOLATION_PRINTER_H_
#define GANTRY_TESTS_SERVER_STEPS_VIOLATION_PRINTER_H_

#include <ostream>

#include "server/steps/config/config_schema.h"

namespace gantry::steps {

// How GoogleTest shows a violation.
inline void PrintTo(const Violation& violation, std::ostream* out) {
  *out << "{" << violation.field << ": " << violation.description << "}";
}

}  // namespace gantry::steps

#endif  // GANTRY_TESTS_SERVER_STEPS_VIOLATION_PRINTER_H_
