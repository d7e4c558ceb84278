// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_CREDENTIALS_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_CREDENTIALS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

// What a request proves its sender with. Secret: never to be logged.
struct Credentials {
  std::string authorization;  // the header's value; empty: none is sent
  // Presented on the connection instead of the configured one; may be null.
  std::shared_ptr<const ClientCertificate> client_certificate;
  // Counts up with each renewal, so that a rejection is matched with what was rejected.
  std::uint64_t generation = 0;
};

// Where requests get their credentials from. Owned by the connection to a cluster; any thread.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // What to send now. May do I/O, within the context.
  virtual absl::StatusOr<Credentials> Get(base::Context& context) = 0;
  // The server answered 401 to `rejected`. True when a further Get may return better ones.
  virtual bool Reject(const Credentials& rejected) = 0;
};

// The same for the whole life of the process.
class FixedCredentials final : public CredentialSource {
 public:
  explicit FixedCredentials(std::string authorization)
      : credentials_{std::move(authorization), nullptr, 0} {}
  absl::StatusOr<Credentials> Get(base::Context&) override { return credentials_; }
  bool Reject(const Credentials&) override { return false; }

 private:
  const Credentials credentials_;
};

// Credentials that are fetched again before they are outdated and when the server rejects them.
// One caller fetches, without a lock; meanwhile the others go on with what is still valid, or
// wait for the result. A failed fetch leaves what is there in use while it is valid.
class RenewedCredentials final : public CredentialSource {
 public:
  struct Fetched {
    std::string authorization;
    std::shared_ptr<const ClientCertificate> client_certificate;
    // From now on: when to fetch again, and until when it may be used at all.
    absl::Duration fresh_for = absl::InfiniteDuration();
    absl::Duration valid_for = absl::InfiniteDuration();
  };
  using Fetch = std::function<absl::StatusOr<Fetched>(base::Context&)>;

  struct Policy {
    // A fetch that a rejection asks for comes no sooner after the last such one: a server that
    // rejects everything must not make this process run a program for each request.
    absl::Duration min_rejection_interval;
    // Whether what was rejected is still worth sending when no better can be fetched.
    bool usable_after_rejection = false;
  };

  // After a failed fetch while there is something to use.
  static constexpr absl::Duration kRetryInterval = absl::Seconds(10);

  // `on_warning` is told when a fetch fails and the old credentials stay in use.
  RenewedCredentials(Fetch fetch, Policy policy, const base::Clock& clock,
                     std::function<void(std::string_view)> on_warning);

  absl::StatusOr<Credentials> Get(base::Context& context) override ABSL_LOCKS_EXCLUDED(mutex_);
  bool Reject(const Credentials& rejected) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A fetch in progress. `done` is cancelled at its end, which wakes those who wait on its fd.
  struct Flight {
    base::Context done;
    // Both are written before `done` is cancelled and read after it. OK: look again; a fetch
    // that was abandoned by its caller says nothing about the credentials.
    absl::StatusCode code = absl::StatusCode::kOk;
    std::string message;
  };

  absl::StatusOr<Credentials> Renew(Flight& flight, base::Context& context)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void StoreLocked(Fetched fetched) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Fetch fetch_;
  const Policy policy_;
  const base::Clock& clock_;
  const std::function<void(std::string_view)> on_warning_;
  base::Mutex mutex_;
  Credentials current_ ABSL_GUARDED_BY(mutex_);  // generation 0: none yet
  absl::Duration fresh_until_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  absl::Duration valid_until_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  bool rejected_ ABSL_GUARDED_BY(mutex_) = false;  // current_ was
  absl::Duration rejected_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  std::shared_ptr<Flight> flight_ ABSL_GUARDED_BY(mutex_);
};

struct CredentialOptions {
  absl::Duration token_file_interval = absl::Minutes(1);
  absl::Duration exec_timeout = absl::Seconds(30);
  std::function<void(std::string_view)> on_warning;
};

// The source that `config` asks for: token file, token, user and password, or exec plugin, in
// this order, or none.
std::unique_ptr<CredentialSource> MakeCredentialSource(
    const ClusterConfig& config, const CredentialOptions& options,
    const base::Clock& clock = base::SystemClock());

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_CREDENTIALS_H_
