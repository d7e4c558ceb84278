// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_KUBERNETES_FAKES_H_
#define GANTRY_TESTS_SERVER_KUBERNETES_FAKES_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "base/random.h"
#include "server/kubernetes/http/http_transport.h"

namespace gantry::kubernetes {

// Stands still until it is moved. Any thread.
class FakeClock final : public base::Clock {
 public:
  absl::Time Now() const override {
    base::MutexLock lock(mutex_);
    return absl::FromUnixSeconds(1'700'000'000) + passed_;
  }
  absl::Duration SinceBoot() const override {
    base::MutexLock lock(mutex_);
    return absl::Hours(1) + passed_;
  }
  void Advance(absl::Duration duration) {
    base::MutexLock lock(mutex_);
    passed_ += duration;
  }

 private:
  mutable base::Mutex mutex_;
  absl::Duration passed_ ABSL_GUARDED_BY(mutex_);
};

// Notes how long it should have slept, and moves a clock instead. One thread.
class FakeSleeper final : public base::Sleeper {
 public:
  explicit FakeSleeper(FakeClock& clock) : clock_(clock) {}
  absl::Status Sleep(absl::Duration duration, base::Context& context) override {
    delays.push_back(duration);
    if (before_waking) before_waking();
    if (absl::Status status = context.Check(); !status.ok()) return status;
    clock_.Advance(duration);
    return absl::OkStatus();
  }

  std::vector<absl::Duration> delays;
  std::function<void()> before_waking;

 private:
  FakeClock& clock_;
};

class FixedRandom final : public base::Random {
 public:
  explicit FixedRandom(double value) : value_(value) {}
  double Uniform() override { return value_; }

 private:
  const double value_;
};

// Answers what a test's function says, and keeps the requests. One thread.
class FakeTransport final : public Transport {
 public:
  struct Sent {
    std::string method;
    std::string target;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    bool accept_compression = false;
    std::shared_ptr<const ClientCertificate> client_certificate;
    absl::Duration time_left;

    std::string Header(std::string_view name) const {
      for (const auto& [key, value] : headers) {
        if (key == name) return value;
      }
      return "";
    }
  };
  using Answer = std::function<absl::StatusOr<HttpResponse>(const HttpRequest&, base::Context&)>;

  explicit FakeTransport(Answer answer) : answer_(std::move(answer)) {}

  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, base::Context& context) override {
    sent.push_back({request.method, request.target, request.headers, std::string(request.body),
                    request.accept_compression, request.client_certificate, context.Remaining()});
    return answer_(request, context);
  }

  std::vector<Sent> sent;

 private:
  const Answer answer_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_TESTS_SERVER_KUBERNETES_FAKES_H_
