// SPDX-License-Identifier: Apache-2.0
#include "server/steps/kubernetes_failure.h"

#include <string>

#include "absl/strings/ascii.h"
#include "base/error_info.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::steps {
namespace {

constexpr absl::Duration kDefaultRetry = absl::Seconds(5);

// NoSuchResource -> KUBERNETES_NO_SUCH_RESOURCE
std::string ReasonOf(kubernetes::ErrorKind kind) {
  std::string reason = "KUBERNETES";
  for (const char c : kubernetes::ErrorKindName(kind)) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c))) reason.push_back('_');
    reason.push_back(absl::ascii_toupper(static_cast<unsigned char>(c)));
  }
  return reason;
}

}  // namespace

absl::Status KubernetesFailure(const absl::Status& status, const base::Context& context) {
  if (const absl::Status ended = context.Check(); !ended.ok()) {
    return absl::Status(ended.code(), base::StrCat(base::ToStd(ended.message()),
                                                   ", during: ", base::ToStd(status.message())));
  }
  const kubernetes::ErrorDetail detail = kubernetes::DetailOf(status);
  base::ErrorInfo info;
  // Without a kind it is an object that was read but could not be understood.
  info.reason = detail.kind == kubernetes::ErrorKind::kNone ? "KUBERNETES_OBJECT_NOT_UNDERSTOOD"
                                                            : ReasonOf(detail.kind);
  info.metadata["error"] = std::string(status.message());
  if (detail.http_status != 0) info.metadata["httpStatus"] = base::StrCat(detail.http_status);
  info.retry_delay = detail.retry_after > absl::ZeroDuration() ? detail.retry_after : kDefaultRetry;
  return base::WithErrorInfo(absl::UnavailableError(status.message()), info);
}

}  // namespace gantry::steps
