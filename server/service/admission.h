// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_ADMISSION_H_
#define GANTRY_SERVER_SERVICE_ADMISSION_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/error_info.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "server/health/health_cache.h"
#include "server/observability/log.h"
#include "server/service/call.h"
#include "server/service/call_tracker.h"
#include "server/service/request_log.h"

namespace gantry::service {

// What a method asks of the server before it takes a call.
struct Bounds {
  // Everything that the health of Stages depends on has been read.
  bool ready = false;
  // The server is not draining, and waits for this call before it ends: whoever has the call says
  // calls().End() when it has ended. Other methods respond at once, also while draining.
  bool counted = false;
};

// A call that has begun.
template <typename Request>
struct Admitted {
  const char* method = "";
  std::string request_id;
  absl::Duration begun;  // since boot
  Request request;       // default when the bytes were not one
  absl::Status status;   // OK, or why it was refused, which is in the log already
};

// Ends a call with an error.
grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, const absl::Status& status);
// Ends it with the response that was built.
grpc::ServerUnaryReactor* Respond(grpc::CallbackServerContext* context);

// What a call is refused with while the server drains, and when all workers are busy.
absl::Status Draining();
absl::Status TooManyCalls(const base::WorkerPool& workers, const char* what);

// Has a worker run `call`, or ends it when there is no place in the queue.
template <typename Call>
Call* Submit(base::WorkerPool& workers, Call* call, const char* what) {
  if (!workers.TrySubmit([call] { call->Run(); })) call->End(TooManyCalls(workers, what));
  return call;
}

// The beginning that all calls have in common: one place that gives a call its request id, parses
// and checks the request, and asks whether the server takes it at the moment. A call that is not
// logged costs nothing for the log: its lines are built when one is written. Owned by the service;
// any thread.
class Admission {
 public:
  Admission(const health::HealthCache& health, const base::Clock& clock, base::Random& random,
            observability::Logger log)
      : health_(health), clock_(clock), random_(random), log_(std::move(log)) {}

  // `check` takes the request, which it may complete, and returns its violations.
  template <typename Request, typename Check>
  Admitted<Request> Admit(grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes,
                          const char* method, const Check& check, Bounds bounds = {}) {
    Admitted<Request> call{method, BeginCall(context), clock_.SinceBoot(), {}, {}};
    call.status = ParseRequest(bytes, call.request);
    if (call.status.ok()) call.status = Checked(check(call.request));
    // Who calls, and whether they may, is to be found out here.
    if (call.status.ok()) call.status = CheckBounds(bounds);
    if (!call.status.ok()) LogRefusal(call, call.status);
    return call;
  }

  // Ends a call that was admitted but cannot be carried out. Writes the line about it.
  template <typename Request>
  grpc::ServerUnaryReactor* RefuseAdmitted(grpc::CallbackServerContext* context,
                                           const Admitted<Request>& call,
                                           const absl::Status& status) const {
    LogRefusal(call, status);
    return Refuse(context, status);
  }

  // For calls that are logged in any case.
  template <typename Request>
  CallLog LogOf(const Admitted<Request>& call) const {
    return {WithNames(log_.With({{"request_id", call.request_id}, {"method", call.method}}),
                      call.request),
            call.begun};
  }

  CallTracker& calls() { return calls_; }

 private:
  template <typename Request>
  void LogRefusal(const Admitted<Request>& call, const absl::Status& status) const {
    if (log_.Writes(observability::LogLevel::kWarning)) LogError(LogOf(call), clock_, status);
  }

  // Returns the request id, which goes back with the response.
  std::string BeginCall(grpc::CallbackServerContext* context);
  static absl::Status Checked(std::vector<base::ErrorInfo::FieldViolation> violations);
  absl::Status CheckBounds(Bounds bounds);

  const health::HealthCache& health_;
  const base::Clock& clock_;
  base::Random& random_;
  const observability::Logger log_;
  CallTracker calls_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_ADMISSION_H_
