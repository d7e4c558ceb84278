// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/credentials.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "server/kubernetes/config/exec_plugin.h"
#include "server/kubernetes/config/file.h"

namespace gantry::kubernetes {
namespace {

// Credentials are renewed a tenth of their life before its end, and no sooner than this.
constexpr absl::Duration kMaxRenewalMargin = absl::Minutes(1);

// Until either has ended.
void WaitForEither(base::Context& first, base::Context& second) {
  std::array<pollfd, 2> waited = {pollfd{first.fd(), POLLIN, 0}, pollfd{second.fd(), POLLIN, 0}};
  // Without file descriptors there is nothing to be woken by.
  const bool blind = waited[0].fd < 0 || waited[1].fd < 0;
  const absl::Duration wait = std::min(
      {first.Remaining(), second.Remaining(), blind ? absl::Milliseconds(50) : absl::Minutes(1)});
  const auto milliseconds = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
  poll(waited.data(), waited.size(), static_cast<int>(std::max<std::int64_t>(milliseconds, 1)));
}

std::string Bearer(std::string_view token) { return base::StrCat("Bearer ", token); }

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  absl::StatusOr<std::string> content = ReadFile(path);
  if (!content.ok()) return content.status();
  std::string token(absl::StripAsciiWhitespace(*content));
  if (token.empty()) {
    return absl::FailedPreconditionError(base::StrCat("the token file ", path, " is empty"));
  }
  const bool clean = std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (!clean) {
    return absl::FailedPreconditionError(
        base::StrCat("the token file ", path, " holds blanks or line breaks inside of the token"));
  }
  return token;
}

}  // namespace

RenewedCredentials::RenewedCredentials(Fetch fetch, Policy policy, const base::Clock& clock,
                                       std::function<void(std::string_view)> on_warning)
    : fetch_(std::move(fetch)),
      policy_(policy),
      clock_(clock),
      on_warning_(std::move(on_warning)) {}

absl::StatusOr<Credentials> RenewedCredentials::Get(base::Context& context) {
  while (true) {
    std::shared_ptr<Flight> flight;
    bool is_mine = false;
    {
      base::MutexLock lock(mutex_);
      const absl::Duration now = clock_.SinceBoot();
      if (now < fresh_until_) return current_;
      if (flight_ != nullptr && now < valid_until_ && !rejected_) return current_;
      is_mine = flight_ == nullptr;
      if (is_mine) flight_ = std::make_shared<Flight>();
      flight = flight_;
    }
    if (is_mine) return Renew(*flight, context);
    while (!flight->done.cancelled()) {
      if (absl::Status status = context.Check(); !status.ok()) return status;
      WaitForEither(flight->done, context);
    }
    // Not a shared absl::Status: its reference count is out of ThreadSanitizer's sight.
    if (flight->code != absl::StatusCode::kOk) return absl::Status(flight->code, flight->message);
  }
}

absl::StatusOr<Credentials> RenewedCredentials::Renew(Flight& flight, base::Context& context) {
  absl::StatusOr<Fetched> fetched = fetch_(context);
  const absl::Status failure = fetched.status();
  absl::StatusOr<Credentials> result;
  bool kept = false;
  {
    base::MutexLock lock(mutex_);
    if (fetched.ok()) {
      StoreLocked(*std::move(fetched));
      result = current_;
    } else {
      const absl::Duration now = clock_.SinceBoot();
      kept = now < valid_until_ && (!rejected_ || policy_.usable_after_rejection);
      if (kept) {
        fresh_until_ = std::min(now + kRetryInterval, valid_until_);
        result = current_;
      } else {
        result = failure;
        if (context.Check().ok()) {
          flight.code = failure.code();
          flight.message = std::string(failure.message());
        }
      }
    }
    flight_.reset();
  }
  flight.done.Cancel();
  if (kept && on_warning_) {
    on_warning_(base::StrCat("going on with the credentials there are: ", failure.message()));
  }
  return result;
}

void RenewedCredentials::StoreLocked(Fetched fetched) {
  const absl::Duration now = clock_.SinceBoot();
  current_.authorization = std::move(fetched.authorization);
  // The same certificate keeps the connections made with it.
  const bool same_certificate = current_.client_certificate && fetched.client_certificate &&
                                *current_.client_certificate == *fetched.client_certificate;
  if (!same_certificate) current_.client_certificate = std::move(fetched.client_certificate);
  ++current_.generation;
  rejected_ = false;
  fresh_until_ = now + fetched.fresh_for;
  valid_until_ = now + fetched.valid_for;
}

bool RenewedCredentials::Reject(const Credentials& rejected) {
  base::MutexLock lock(mutex_);
  // Renewed since: the newer ones deserve a try.
  if (rejected.generation != current_.generation) return true;
  const absl::Duration now = clock_.SinceBoot();
  if (now - rejected_at_ < policy_.min_rejection_interval) return false;
  rejected_at_ = now;
  rejected_ = true;
  fresh_until_ = now;
  return true;
}

namespace {

std::unique_ptr<CredentialSource> FromTokenFile(const ClusterConfig& config,
                                                const CredentialOptions& options,
                                                const base::Clock& clock) {
  auto fetch =
      [path = config.token_file, fallback = config.token, interval = options.token_file_interval,
       was_read = false](base::Context&) mutable -> absl::StatusOr<RenewedCredentials::Fetched> {
    const absl::StatusOr<std::string> token = ReadToken(path);
    RenewedCredentials::Fetched fetched;
    if (token.ok()) {
      was_read = true;
      fetched.authorization = Bearer(*token);
      fetched.fresh_for = interval;
      return fetched;
    }
    if (was_read || fallback.empty()) return token.status();
    fetched.authorization = Bearer(fallback);
    fetched.fresh_for = RenewedCredentials::kRetryInterval;
    return fetched;
  };
  return std::make_unique<RenewedCredentials>(
      std::move(fetch),
      RenewedCredentials::Policy{.min_rejection_interval = absl::ZeroDuration(),
                                 .usable_after_rejection = true},
      clock, options.on_warning);
}

std::unique_ptr<CredentialSource> FromExecPlugin(const ClusterConfig& config,
                                                 const CredentialOptions& options,
                                                 const base::Clock& clock) {
  auto fetch = [config, timeout = options.exec_timeout,
                &clock](base::Context& context) -> absl::StatusOr<RenewedCredentials::Fetched> {
    absl::StatusOr<ExecCredential> credential = RunExecPlugin(config, timeout, context);
    if (!credential.ok()) return credential.status();
    RenewedCredentials::Fetched fetched;
    if (!credential->token.empty()) fetched.authorization = Bearer(credential->token);
    if (credential->certificate) {
      fetched.client_certificate =
          std::make_shared<const ClientCertificate>(*std::move(credential->certificate));
    }
    if (credential->expiration) {
      fetched.valid_for = *credential->expiration - clock.Now();
      fetched.fresh_for = fetched.valid_for - std::min(fetched.valid_for / 10, kMaxRenewalMargin);
    }
    return fetched;
  };
  return std::make_unique<RenewedCredentials>(
      std::move(fetch),
      RenewedCredentials::Policy{.min_rejection_interval = absl::Seconds(5),
                                 .usable_after_rejection = false},
      clock, options.on_warning);
}

}  // namespace

std::unique_ptr<CredentialSource> MakeCredentialSource(const ClusterConfig& config,
                                                       const CredentialOptions& options,
                                                       const base::Clock& clock) {
  if (!config.token_file.empty()) return FromTokenFile(config, options, clock);
  if (!config.token.empty()) return std::make_unique<FixedCredentials>(Bearer(config.token));
  if (!config.username.empty() || !config.password.empty()) {
    const std::string pair = base::StrCat(config.username, ":", config.password);
    return std::make_unique<FixedCredentials>(base::StrCat("Basic ", absl::Base64Escape(pair)));
  }
  if (config.exec) return FromExecPlugin(config, options, clock);
  return std::make_unique<FixedCredentials>("");
}

}  // namespace gantry::kubernetes
