// SPDX-License-Identifier: Apache-2.0
#include "server/service/admission.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/service/status.h"

namespace gantry::service {
namespace {

constexpr const char* kRequestIdKey = "x-request-id";
constexpr std::size_t kMaxRequestIdLength = 128;

// 32 hexadecimal digits. Every call without an id of its own gets one, so it is put together by
// hand.
std::string RandomId(base::Random& random) {
  std::string id(32, '0');
  for (std::size_t word = 0; word < 4; ++word) {
    auto bits = static_cast<std::uint32_t>(random.Uniform() * 0x1p32);
    for (std::size_t digit = 8; digit-- > 0; bits >>= 4U) {
      id[word * 8 + digit] = "0123456789abcdef"[bits & 0xFU];
    }
  }
  return id;
}

std::string RequestId(const grpc::CallbackServerContext& context, base::Random& random) {
  const auto found = context.client_metadata().find(kRequestIdKey);
  if (found == context.client_metadata().end()) return RandomId(random);
  const std::string given(found->second.data(), found->second.size());
  const bool good = !given.empty() && given.size() <= kMaxRequestIdLength &&
                    std::all_of(given.begin(), given.end(),
                                [](unsigned char c) { return absl::ascii_isprint(c); });
  return good ? given : RandomId(random);
}

absl::Status NotReady() {
  base::ErrorInfo info;
  info.reason = "CACHES_NOT_FILLED";
  return base::WithErrorInfo(
      absl::UnavailableError("this server has not read all Applications and Stages yet since its "
                             "start; ask another, or again soon"),
      info);
}

}  // namespace

grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* Respond(grpc::CallbackServerContext* context) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

absl::Status Draining() {
  base::ErrorInfo info;
  info.reason = "SERVER_DRAINING";
  return base::WithErrorInfo(absl::UnavailableError("this server is shutting down; ask another"),
                             info);
}

absl::Status TooManyCalls(const base::WorkerPool& workers, const char* what) {
  base::ErrorInfo info;
  info.reason = "TOO_MANY_STEPS";
  info.metadata = {{"step_workers", std::to_string(workers.threads())}};
  return base::WithErrorInfo(
      absl::ResourceExhaustedError(
          absl::StrCat("too many ", what, " at once: all ", workers.threads(),
                       " step workers are busy and their queue is full; call again later")),
      info);
}

std::string Admission::BeginCall(grpc::CallbackServerContext* context) {
  std::string request_id = RequestId(*context, random_);
  context->AddInitialMetadata(kRequestIdKey, request_id);
  return request_id;
}

absl::Status Admission::Checked(std::vector<base::ErrorInfo::FieldViolation> violations) {
  return violations.empty() ? absl::OkStatus() : InvalidRequest(std::move(violations));
}

absl::Status Admission::CheckBounds(Bounds bounds) {
  if (bounds.ready && !health_.ready()) return NotReady();
  if (bounds.counted && !calls_.Begin()) return Draining();
  return absl::OkStatus();
}

}  // namespace gantry::service
