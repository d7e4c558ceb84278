// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/lease/leader_elector.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/json_field.h"

namespace gantry::kubernetes {
namespace {

using nlohmann::json;

constexpr Resource kLeases = {"coordination.k8s.io", "v1", "leases"};
// Candidates that wait try again after one to 2.2 retry periods, as Kubernetes' own do.
constexpr double kRetryJitter = 1.2;
// How long the process's end may be held up by giving the Lease up.
constexpr absl::Duration kReleaseTimeout = absl::Seconds(5);
// An own record that was given up may be taken at once; zero is not a valid duration.
constexpr int kReleasedSeconds = 1;

// The API's MicroTime: exactly six fractional digits.
std::string MicroTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

// The API has no other integers in a Lease; zero for what is not one.
std::int32_t PositiveAt(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return 0;
  const auto number = found->get<std::int64_t>();
  return number > 0 && number < std::numeric_limits<std::int32_t>::max()
             ? static_cast<std::int32_t>(number)
             : 0;
}

// Does not throw for an identity that is not UTF-8.
std::string Text(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

// All of an elector's state. IsLeader is for any thread; the rest is for the elector's own.
class LeaderElector::Loop {
 public:
  Loop(Client& client, LeaderElectorOptions options)
      : client_(client), options_(std::move(options)) {}

  void Run(const std::function<void(base::Context& term)>& lead, base::Context& context);
  bool IsLeader() const;

 private:
  // What trying to get or keep the Lease came to.
  enum class Outcome {
    kHeld,
    kNotHeld,  // somebody else has it
    kUnknown,  // no answer, a conflict, or an error
  };

  // A Lease as it was read.
  struct Lease {
    json object;
    std::string holder;  // empty: nobody
    absl::Duration duration;
  };

  // Reads the Lease and, if that is allowed, writes it with this process as its holder.
  Outcome TryToHold(absl::Duration time_limit, base::Context& context);
  absl::StatusOr<Lease> ReadLease(base::Context& context);
  // Notes when the record was first seen as it is now.
  void Observe(const Lease& lease);
  bool HasExpired(const Lease& lease) const;
  json NewSpec(const Lease* current) const;

  void Lead(const std::function<void(base::Context& term)>& lead, base::Context& context);
  // Returns when the Lease is not certainly held any more, `context` has ended, or `lead` has
  // returned by itself.
  void KeepRenewing(const std::atomic<bool>& returned, base::Context& context);
  void Release();

  void SetRenewed(std::optional<absl::Duration> time);
  absl::Duration TermLeft() const;
  absl::Duration Now() const { return options_.clock->SinceBoot(); }
  std::string Name() const { return base::StrCat("Lease ", options_.ns, "/", options_.name); }
  void Say(std::string_view message) {
    if (options_.on_message && message != last_message_) options_.on_message(message);
    last_message_ = message;
  }

  Client& client_;
  const LeaderElectorOptions options_;
  // The record as last read, and when it was first seen so, by this process's clock: those of other
  // machines are not to be compared with.
  json observed_spec_;
  absl::Duration observed_at_;
  // A write may have made this process the holder.
  bool may_be_holder_ = false;
  // The same one is not said again and again.
  std::string last_message_;

  mutable base::Mutex mutex_;
  // When the request was sent that last made or kept this process the holder; none: it is not.
  std::optional<absl::Duration> renewed_ ABSL_GUARDED_BY(mutex_);
};

bool LeaderElector::Loop::IsLeader() const { return TermLeft() > absl::ZeroDuration(); }

void LeaderElector::Loop::SetRenewed(std::optional<absl::Duration> time) {
  base::MutexLock lock(mutex_);
  renewed_ = time;
}

absl::Duration LeaderElector::Loop::TermLeft() const {
  base::MutexLock lock(mutex_);
  if (!renewed_) return absl::ZeroDuration();
  return std::max(*renewed_ + options_.renew_deadline - Now(), absl::ZeroDuration());
}

absl::StatusOr<LeaderElector::Loop::Lease> LeaderElector::Loop::ReadLease(base::Context& context) {
  const absl::StatusOr<JsonText> text = client_.Get(kLeases, options_.ns, options_.name, context);
  if (!text.ok()) return text.status();
  const auto malformed = [&](std::string_view what) {
    return MakeError({.kind = ErrorKind::kMalformedResponse},
                     base::StrCat(Name(), " ", what, "; delete it if it is not in use"));
  };
  Lease lease;
  lease.object = json::parse(text->text(), nullptr, false);
  if (!lease.object.is_object()) return malformed("is not a JSON object");
  json& metadata = lease.object["metadata"];
  if (!metadata.is_object() || TextAt(metadata, "resourceVersion").empty()) {
    return malformed("has no metadata.resourceVersion");
  }
  json& spec = lease.object["spec"];
  if (spec.is_null()) spec = json::object();
  if (!spec.is_object()) return malformed("has a spec that is not an object");
  if (const auto holder = spec.find("holderIdentity"); holder != spec.end() && !holder->is_null()) {
    if (!holder->is_string()) return malformed("has a spec.holderIdentity that is not a string");
    lease.holder = holder->get<std::string>();
  }
  const std::int32_t seconds = PositiveAt(spec, "leaseDurationSeconds");
  lease.duration = seconds > 0 ? absl::Seconds(seconds) : options_.lease_duration;
  return lease;
}

void LeaderElector::Loop::Observe(const Lease& lease) {
  const json& spec = lease.object["spec"];
  if (spec == observed_spec_) return;
  observed_spec_ = spec;
  observed_at_ = Now();
}

bool LeaderElector::Loop::HasExpired(const Lease& lease) const {
  return Now() - observed_at_ >= lease.duration;
}

json LeaderElector::Loop::NewSpec(const Lease* current) const {
  const std::string now = MicroTime(options_.clock->Now());
  json spec = current == nullptr ? json::object() : current->object["spec"];
  const bool renewal = current != nullptr && current->holder == options_.identity;
  if (current == nullptr) {
    spec["leaseTransitions"] = 0;
  } else if (!renewal) {
    spec["leaseTransitions"] = PositiveAt(spec, "leaseTransitions") + 1;
  }
  if (!renewal || TextAt(spec, "acquireTime").empty()) spec["acquireTime"] = now;
  spec["renewTime"] = now;
  spec["holderIdentity"] = options_.identity;
  spec["leaseDurationSeconds"] =
      std::max<std::int64_t>(absl::ToInt64Seconds(options_.lease_duration), 1);
  return spec;
}

LeaderElector::Loop::Outcome LeaderElector::Loop::TryToHold(absl::Duration time_limit,
                                                            base::Context& context) {
  base::Context limited(context, time_limit);
  absl::StatusOr<Lease> lease = ReadLease(limited);
  // From before the write on, for others may see it as soon as it is sent.
  absl::Duration sent;
  absl::Status written;
  if (lease.ok()) {
    Observe(*lease);
    const bool own = lease->holder == options_.identity;
    may_be_holder_ = own;
    if (!own && !lease->holder.empty() && !HasExpired(*lease)) {
      Say(base::StrCat(Name(), " is held by \"", absl::CEscape(lease->holder), "\""));
      return Outcome::kNotHeld;
    }
    lease->object["spec"] = NewSpec(&*lease);
    sent = Now();
    written =
        client_.Replace(kLeases, options_.ns, options_.name, Text(lease->object), limited).status();
  } else if (KindOf(lease.status()) == ErrorKind::kNotFound) {
    const json object = {{"apiVersion", "coordination.k8s.io/v1"},
                         {"kind", "Lease"},
                         {"metadata", {{"namespace", options_.ns}, {"name", options_.name}}},
                         {"spec", NewSpec(nullptr)}};
    sent = Now();
    written = client_.Create(kLeases, options_.ns, options_.name, Text(object), limited).status();
  } else {
    if (context.Check().ok()) Say(base::StrCat("cannot read: ", lease.status().message()));
    return Outcome::kUnknown;
  }
  if (written.ok()) {
    may_be_holder_ = true;
    SetRenewed(sent);
    return Outcome::kHeld;
  }
  may_be_holder_ = may_be_holder_ || !CertainlyNotWritten(written);
  if (context.Check().ok()) Say(base::StrCat("cannot write: ", written.message()));
  return Outcome::kUnknown;
}

void LeaderElector::Loop::KeepRenewing(const std::atomic<bool>& returned, base::Context& context) {
  while (true) {
    const absl::Duration wait = std::min(options_.retry_period, TermLeft());
    if (!options_.sleeper->Sleep(wait, context).ok() || returned) return;
    const absl::Duration left = TermLeft();
    if (left == absl::ZeroDuration()) {
      Say(base::StrCat(Name(), " could not be renewed for ",
                       absl::FormatDuration(options_.renew_deadline), ": not the leader any more"));
      return;
    }
    if (TryToHold(left, context) == Outcome::kNotHeld) return;
  }
}

void LeaderElector::Loop::Lead(const std::function<void(base::Context& term)>& lead,
                               base::Context& context) {
  Say(base::StrCat("leading: got ", Name(), " as \"", absl::CEscape(options_.identity), "\""));
  base::Context term;
  std::atomic<bool> returned = false;
  std::thread thread([&] {
    lead(term);
    returned = true;
  });
  KeepRenewing(returned, context);
  const bool still_held = TermLeft() > absl::ZeroDuration();
  SetRenewed(std::nullopt);
  term.Cancel();
  thread.join();
  Say("not leading any more");
  // Not when the context has ended: Run does it then.
  if (still_held && context.Check().ok()) Release();
}

void LeaderElector::Loop::Release() {
  // The caller's context may have ended.
  base::Context context(kReleaseTimeout);
  may_be_holder_ = false;
  absl::StatusOr<Lease> lease = ReadLease(context);
  if (lease.ok() && lease->holder != options_.identity) return;
  absl::Status status = lease.status();
  if (lease.ok()) {
    json& spec = lease->object["spec"];
    const std::string now = MicroTime(options_.clock->Now());
    spec["holderIdentity"] = "";
    spec["leaseDurationSeconds"] = kReleasedSeconds;
    spec["acquireTime"] = now;
    spec["renewTime"] = now;
    status =
        client_.Replace(kLeases, options_.ns, options_.name, Text(lease->object), context).status();
  }
  if (!status.ok()) {
    Say(base::StrCat(Name(), " could not be given up and will expire: ", status.message()));
  }
}

void LeaderElector::Loop::Run(const std::function<void(base::Context& term)>& lead,
                              base::Context& context) {
  while (context.Check().ok()) {
    // A process that was stopped meanwhile may learn too late that it got it.
    if (TryToHold(options_.renew_deadline, context) == Outcome::kHeld && IsLeader()) {
      Lead(lead, context);
      if (!context.Check().ok()) break;
    }
    const double factor = 1.0 + kRetryJitter * options_.random->Uniform();
    // Ends with the context, which the loop looks at.
    (void)options_.sleeper->Sleep(options_.retry_period * factor, context);
  }
  if (may_be_holder_) Release();
}

LeaderElector::LeaderElector(Client& client, LeaderElectorOptions options)
    : loop_(std::make_unique<Loop>(client, std::move(options))) {}

LeaderElector::~LeaderElector() = default;

void LeaderElector::Run(const std::function<void(base::Context& term)>& lead,
                        base::Context& context) {
  loop_->Run(lead, context);
}

bool LeaderElector::IsLeader() const { return loop_->IsLeader(); }

}  // namespace gantry::kubernetes
