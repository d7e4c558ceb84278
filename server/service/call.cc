// SPDX-License-Identifier: Apache-2.0
#include "server/service/call.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error_info.h"
#include "base/strings.h"
#include "server/service/malformed.h"
#include "server/service/status.h"
#include "server/service/text.h"

namespace gantry::service {
namespace {

constexpr std::size_t kMaxLoggedMessageBytes = 1024;

}  // namespace

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration));
}

void LogError(const CallLog& call, const base::Clock& clock, const absl::Status& status) {
  if (!call.log.Writes(observability::LogLevel::kWarning)) return;
  const base::ErrorInfo info = base::ErrorInfoOf(status).value_or(base::ErrorInfo{});
  call.log.Warning("call failed",
                   {{"code", absl::StatusCodeToString(status.code())},
                    {"reason", info.reason},
                    {"error", Presentable(base::ToStd(status.message()), kMaxLoggedMessageBytes)},
                    {"duration_ms", Milliseconds(clock.SinceBoot() - call.begun)}});
}

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  grpc::Slice whole;
  // Small requests come in one piece, of which nothing needs to be copied.
  if (!bytes.TrySingleSlice(&whole).ok() && !bytes.DumpToSingleSlice(&whole).ok()) {
    return InvalidRequest({{"", "the bytes cannot be decompressed"}});
  }
  const std::string_view text(reinterpret_cast<const char*>(whole.begin()), whole.size());
  // gRPC takes no message that would not fit into an int.
  if (message.ParseFromArray(text.data(), static_cast<int>(text.size()))) return absl::OkStatus();
  return InvalidRequest(DescribeMalformed(text, message));
}

absl::Duration TimeLeft(const grpc::CallbackServerContext& context) {
  // The context's own accessor overflows for a deadline in the far future.
  const gpr_timespec deadline = context.raw_deadline();
  if (deadline.tv_sec == gpr_inf_future(deadline.clock_type).tv_sec) {
    return absl::InfiniteDuration();
  }
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

grpc::Slice SliceOf(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

void SerializeTo(const google::protobuf::Message& message, grpc::ByteBuffer* bytes) {
  const grpc::Slice slice = SliceOf(message.SerializeAsString());
  *bytes = grpc::ByteBuffer(&slice, 1);
}

absl::Status ExplainDefaultDeadline(absl::Status status, absl::Duration default_deadline) {
  if (!absl::IsDeadlineExceeded(status) || default_deadline == absl::InfiniteDuration()) {
    return status;
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the call gave no deadline and took longer than the ",
                   absl::FormatDuration(default_deadline), " it was given; set one"));
}

BlockingCall::BlockingCall(Work work, CallLog call, absl::Duration time_left,
                           absl::Duration default_deadline, const base::Clock& clock,
                           CallTracker& calls)
    : work_(std::move(work)),
      call_(std::move(call)),
      default_deadline_(time_left == absl::InfiniteDuration() ? default_deadline
                                                              : absl::InfiniteDuration()),
      context_(std::min(time_left, default_deadline_)),
      clock_(clock),
      calls_(calls) {}

void BlockingCall::Run() {
  // A call that ended while it was queued is not begun.
  absl::Status status = context_.Check();
  if (status.ok()) status = DoWork();
  if (!status.ok()) return End(Attribute(std::move(status), context_));
  if (call_.log.Writes(observability::LogLevel::kInfo)) {
    call_.log.Info("call done", {{"code", "OK"},
                                 {"duration_ms", Milliseconds(clock_.SinceBoot() - call_.begun)}});
  }
  Finish(grpc::Status::OK);
}

absl::Status BlockingCall::DoWork() {
  try {
    return work_(context_);
  } catch (const std::exception& exception) {
    // Nothing of ours throws; a library, or the end of memory, must not end the process.
    call_.log.Error("a call threw", {{"exception", exception.what()}});
    return absl::InternalError("the call failed because of an internal error");
  }
}

void BlockingCall::End(absl::Status status) {
  status = ExplainDefaultDeadline(std::move(status), default_deadline_);
  LogError(call_, clock_, status);
  Finish(ToGrpcStatus(status));
}

void BlockingCall::OnDone() {
  CallTracker& calls = calls_;
  delete this;
  calls.End();
}

}  // namespace gantry::service
