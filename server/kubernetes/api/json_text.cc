// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/json_text.h"

#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {

absl::Status WhyUnreadable(simdjson::padded_string_view json, absl::Status why) {
  simdjson::dom::parser parser;
  const simdjson::error_code error = parser.parse(json).error();
  if (error == simdjson::SUCCESS) return why;
  return MakeError({.kind = ErrorKind::kMalformedResponse, .outcome = WriteOutcome::kUnknown},
                   base::StrCat("the API server's response is not JSON (",
                                simdjson::error_message(error), "): ", why.message()));
}

}  // namespace gantry::kubernetes
