// SPDX-License-Identifier: Apache-2.0
#include "server/steps/application_writer.h"

#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::steps {

using WriteKind = WriteResult::Kind;

std::vector<WriteResult> ApplicationWriter::Write(const std::vector<SentWrite>& writes,
                                                  const Check& check, base::Context& context) {
  std::vector<WriteResult> results(writes.size());
  base::ParallelFor(helpers_, writes.size(), [&](std::size_t i) {
    results[i] = check(writes[i]);
    if (results[i].kind == WriteKind::kWritten) results[i] = WriteOne(writes[i], context);
    if (results[i].kind == WriteKind::kWritten) TellWritten(writes[i]);
    return results[i].kind == WriteKind::kWritten;
  });
  return results;
}

WriteResult ApplicationWriter::WriteOne(const SentWrite& write, base::Context& context) {
  const argocd::Application& application = *write.application;
  const absl::Status written = applications_.Patch(application.name, write.write.patch, context);
  if (written.ok()) return {.kind = WriteKind::kWritten};
  WriteResult result = {.kind = WriteKind::kFailed,
                        .status = written,
                        .certainly_not_written = kubernetes::CertainlyNotWritten(written)};
  switch (kubernetes::KindOf(written)) {
    case kubernetes::ErrorKind::kConflict:
    case kubernetes::ErrorKind::kNotFound:
      result.kind = WriteKind::kConflict;
      break;
    case kubernetes::ErrorKind::kForbidden:
      result.kind = WriteKind::kRefused;
      break;
    case kubernetes::ErrorKind::kRefused:
      if (!result.certainly_not_written) break;
      // A patch whose paths are gone is refused before its resourceVersion is compared.
      result.kind = applications_.HasChanged(application, context) ? WriteKind::kConflict
                                                                   : WriteKind::kRefused;
      break;
    default:
      break;
  }
  return result;
}

void ApplicationWriter::TellWritten(const SentWrite& write) const {
  const argocd::Application& application = *write.application;
  events_.Record({"argoproj.io/v1alpha1", "Application", application.name.ns, application.name.name,
                  application.uid, application.resource_version},
                 "OperationStarted", write.write.event);
  Audit(write, "written");
}

void ApplicationWriter::TellUnknown(const SentWrite& write) const {
  Audit(write, "sent, no answer: may have happened");
}

void ApplicationWriter::Audit(const SentWrite& write, std::string_view outcome) const {
  log_.Audit("audit: Application changed and sync started",
             {{"outcome", outcome},
              {"caller", origin_.caller},
              {"actor", origin_.actor},
              {"application", ToString(write.application->name)},
              {"attempt", base::StrCat(write.write.attempt)},
              {"changed", write.write.changed},
              {"desired_revisions", write.desired_revisions}});
}

}  // namespace gantry::steps
