// SPDX-License-Identifier: Apache-2.0
#include "server/observability/library_logs.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace gantry::observability {
namespace {

// Never destroyed: threads of gRPC may log while the process exits.
struct Target {
  base::Mutex mutex;
  Logger log ABSL_GUARDED_BY(mutex);

  Logger Get() {
    base::MutexLock lock(mutex);
    return log;
  }
};

Target& TheTarget() {
  static Target& target = *new Target;
  return target;
}

void LogGrpc(gpr_log_func_args* args) {
  const Logger log = TheTarget().Get();
  const std::string where = absl::StrCat(args->file, ":", args->line);
  switch (args->severity) {
    case GPR_LOG_SEVERITY_ERROR:
      log.Error(args->message, {{"library", "grpc"}, {"source", where}});
      return;
    case GPR_LOG_SEVERITY_INFO:
      log.Info(args->message, {{"library", "grpc"}, {"source", where}});
      return;
    default:
      log.Debug(args->message, {{"library", "grpc"}, {"source", where}});
  }
}

// Protobuf's errors are about one message, which a caller sent: the caller is told of them.
void LogProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                 const std::string& message) {
  const Logger log = TheTarget().Get();
  const std::string where = absl::StrCat(file, ":", line);
  if (level == google::protobuf::LOGLEVEL_FATAL) {
    log.Error(message, {{"library", "protobuf"}, {"source", where}});
  } else {
    log.Debug(message, {{"library", "protobuf"}, {"source", where}});
  }
}

}  // namespace

void RedirectLibraryLogs(const Logger& log) {
  Target& target = TheTarget();
  {
    base::MutexLock lock(target.mutex);
    target.log = log;
  }
  gpr_set_log_function(LogGrpc);
  google::protobuf::SetLogHandler(LogProtobuf);
}

}  // namespace gantry::observability
