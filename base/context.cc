// SPDX-License-Identifier: Apache-2.0
#include "base/context.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/clock.h"

namespace gantry::base {
namespace {

Context::TimePoint After(absl::Duration timeout) {
  const auto now = std::chrono::steady_clock::now();
  // Adding a very long timeout to the clock would overflow.
  if (timeout >= absl::Hours(24 * 365)) return Context::TimePoint::max();
  return now + absl::ToChronoNanoseconds(std::max(timeout, absl::ZeroDuration()));
}

void MakeReadable(int fd) {
  const std::uint64_t one = 1;
  // An eventfd takes a single 8-byte write whole, and its counter cannot be full here.
  [[maybe_unused]] const auto written = write(fd, &one, sizeof one);
}

class RealSleeper final : public Sleeper {
 public:
  absl::Status Sleep(absl::Duration duration, Context& context) override {
    const Context::TimePoint wake = After(duration);
    while (true) {
      if (absl::Status status = context.Check(); !status.ok()) return status;
      const auto now = std::chrono::steady_clock::now();
      const auto until = std::min(wake, context.deadline());
      if (now >= wake) return absl::OkStatus();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
      pollfd waited{context.fd(), POLLIN, 0};
      poll(&waited, 1, static_cast<int>(std::clamp<decltype(left)>(left, 1, 60'000)));
    }
  }
};

}  // namespace

Context::Context() : deadline_(TimePoint::max()) {}
Context::Context(TimePoint deadline) : deadline_(deadline) {}
Context::Context(absl::Duration timeout) : deadline_(After(timeout)) {}
Context::Context(Context& parent, absl::Duration timeout)
    : parent_(&parent), deadline_(std::min(parent.deadline(), After(timeout))) {}

Context::~Context() {
  MutexLock lock(mutex_);
  if (fd_ >= 0) close(fd_);
}

void Context::Cancel() {
  MutexLock lock(mutex_);
  cancelled_.store(true, std::memory_order_release);
  if (fd_ >= 0) MakeReadable(fd_);
}

bool Context::cancelled() const {
  return cancelled_.load(std::memory_order_acquire) || (parent_ != nullptr && parent_->cancelled());
}

absl::Duration Context::Remaining() const {
  if (deadline_ == TimePoint::max()) return absl::InfiniteDuration();
  return std::max(absl::ZeroDuration(),
                  absl::FromChrono(deadline_ - std::chrono::steady_clock::now()));
}

absl::Status Context::Check() const {
  if (cancelled()) return absl::CancelledError("the call was cancelled");
  if (Remaining() == absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  return absl::OkStatus();
}

int Context::fd() {
  if (parent_ != nullptr) return parent_->fd();
  MutexLock lock(mutex_);
  if (fd_ < 0) {
    fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd_ >= 0 && cancelled_.load(std::memory_order_acquire)) MakeReadable(fd_);
  }
  return fd_;
}

Sleeper& SystemSleeper() {
  static RealSleeper sleeper;
  return sleeper;
}

}  // namespace gantry::base
