// SPDX-License-Identifier: Apache-2.0

// What an orchestrator does with the client library, in short: runs a step to its end, then looks
// how healthy the Stage is.

#include <iostream>
#include <string>

#include "gantry/client/call.h"
#include "gantry/client/client.h"
#include "gantry/client/connection.h"
#include "gantry/client/errors.h"
#include "gantry/client/health_watch.h"
#include "gantry/client/run_step.h"
#include "gantry/client/timing.h"

namespace {

int Run(const std::string& address) {
  gantry::client::ChannelOptions channel;
  channel.user_agent = "consumer/1.0";
  const auto connection = gantry::client::Connect(address, channel);
  const gantry::client::Client client(connection);

  gantry::v1::RunStepRequest step;
  step.set_project("shop");
  step.set_stage("prod");
  step.set_promotion("release-1");
  step.set_uses("argocd-update");
  gantry::client::RunStepOptions options;
  options.unreachable_timeout = absl::Seconds(1);
  const gantry::client::RunStepResult result =
      client.RunStepUntilDone(step, options, [](const gantry::client::RunStepProgress& progress) {
        if (progress.error != nullptr) std::cerr << *progress.error << "\n";
      });
  if (result.ending != gantry::client::Ending::kVerdict) {
    std::cerr << "no verdict: " << result.error << "\n";
    return 4;
  }
  std::cout << "step: " << gantry::v1::StepStatus_Name(result.response->status()) << "\n";

  gantry::v1::WatchStageHealthRequest request;
  request.set_project("shop");
  gantry::client::HealthWatch watch(connection, request);
  const absl::Status end = watch.Run([&](const gantry::v1::WatchStageHealthResponse& event) {
    if (event.has_updated()) {
      std::cout << event.updated().stage() << ": "
                << gantry::v1::HealthState_Name(event.updated().state()) << "\n";
    }
    if (event.has_synced()) watch.Stop();
  });
  if (!end.ok()) {
    std::cerr << "the watch ended: " << end << "\n";
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || std::string(argv[1]) == "--help") {
    std::cerr << "usage: consumer ADDRESS\n";
    return 2;
  }
  return Run(argv[1]);
}
