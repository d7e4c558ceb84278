// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_APPLICATIONS_H_
#define GANTRY_TESTS_VERDICTS_APPLICATIONS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "tests/verdicts/choice.h"

namespace gantry::verdicts {

// Random Argo CD Applications, and what Argo CD, its users and its failures do to them.

nlohmann::json MakeApplication(Choice& choice, const std::string& ns, const std::string& name,
                               absl::Time now);

// One to three things happen to `application`, often what follows next: an operation is taken up,
// it completes, the result is compared and healthy. `desired` are the revisions that the last step
// wanted of it, one per source; empty when that is not known.
void Evolve(Choice& choice, const nlohmann::json& desired, absl::Time now,
            nlohmann::json& application);

// The list of sources that counts; each is an object.
nlohmann::json SourcesOf(const nlohmann::json& application);

std::string Rfc3339(absl::Time time);
std::string RandomRevision(Choice& choice);
std::string RandomHealth(Choice& choice);

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_APPLICATIONS_H_
