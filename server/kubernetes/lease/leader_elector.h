// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_LEASE_LEADER_ELECTOR_H_
#define GANTRY_SERVER_KUBERNETES_LEASE_LEADER_ELECTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "server/kubernetes/api/client.h"

namespace gantry::kubernetes {

struct LeaderElectorOptions {
  std::string ns;
  std::string name;      // of the Lease
  std::string identity;  // of this process, unique among the candidates
  absl::Duration lease_duration = absl::Seconds(15);
  absl::Duration renew_deadline = absl::Seconds(10);
  absl::Duration retry_period = absl::Seconds(2);
  const base::Clock* clock = &base::SystemClock();
  base::Sleeper* sleeper = &base::SystemSleeper();
  base::Random* random = &base::SystemRandom();
  // For the log; may be empty.
  std::function<void(std::string_view message)> on_message;
};

// Lets one of several processes do what only one may do at a time, by a coordination.k8s.io Lease,
// with the rules and numbers of Kubernetes' own controllers. Owned by the wiring; Run is called
// once, on a thread of its own.
class LeaderElector {
 public:
  // `client` outlives it.
  LeaderElector(Client& client, LeaderElectorOptions options);
  ~LeaderElector();

  // Until `context` ends: tries to get the Lease, and whenever it has it calls `lead` on a thread
  // of its own. The context that `lead` is given is cancelled as soon as the Lease is not certainly
  // held any more, and `lead` is expected to return then; the Lease is not sought again before.
  // When `context` ends the Lease is given up, so that another process need not wait for it.
  void Run(const std::function<void(base::Context& term)>& lead, base::Context& context);

  // Any thread.
  bool IsLeader() const;

 private:
  class Loop;
  const std::unique_ptr<Loop> loop_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_LEASE_LEADER_ELECTOR_H_
