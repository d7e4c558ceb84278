// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_CALL_H_
#define GANTRY_SERVER_SERVICE_CALL_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "server/observability/log.h"
#include "server/service/call_tracker.h"

namespace gantry::service {

// What a call says about itself in the log, from its beginning to its end.
struct CallLog {
  observability::Logger log;
  absl::Duration begun;  // since boot
};

std::string Milliseconds(absl::Duration duration);

// The one line about a call that ended with an error.
void LogError(const CallLog& call, const base::Clock& clock, const absl::Status& status);

// INVALID_ARGUMENT, telling what can be told, when the bytes are not this message.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

// The caller's deadline as time left; infinite when it gave none.
absl::Duration TimeLeft(const grpc::CallbackServerContext& context);

// Bytes that are a message, or parts of one.
grpc::Slice SliceOf(std::string_view bytes);
// Any message can be serialized, because its strings were made valid before.
void SerializeTo(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

// What an error of a call that gave no deadline says when it is the deadline it was given.
absl::Status ExplainDefaultDeadline(absl::Status status, absl::Duration default_deadline);

// A unary call whose work blocks: it is done by a worker, within a context that ends with the
// call. gRPC deletes it by OnDone, which comes after Finish and after the handler has returned,
// whatever happens to the connection; so the worker, whose last act is Finish, never meets a
// deleted call, and neither does OnCancel.
class BlockingCall final : public grpc::ServerUnaryReactor {
 public:
  using Work = std::function<absl::Status(base::Context& context)>;

  BlockingCall(Work work, CallLog call, absl::Duration time_left, absl::Duration default_deadline,
               const base::Clock& clock, CallTracker& calls);

  // On a worker thread, once.
  void Run();
  void End(absl::Status status);

 private:
  absl::Status DoWork();
  void OnCancel() override { context_.Cancel(); }
  void OnDone() override;

  const Work work_;
  const CallLog call_;
  const absl::Duration default_deadline_;  // infinite when the caller gave one
  base::Context context_;
  const base::Clock& clock_;
  CallTracker& calls_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_CALL_H_
