// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "tests/client/answers.h"
#include "tests/client/scripted_service.h"

// The service that the consumer is run against. Prints its address, and serves until its standard
// input ends.
int main() {
  using namespace gantry;
  client::ScriptedService service(
      {client::Running(absl::Milliseconds(1)), client::Answer(v1::STEP_STATUS_SUCCEEDED)},
      "127.0.0.1:0",
      client::HealthScript{
          {},
          {},
          {{{client::Updated(client::Stage("shop", "prod")), client::Synced()}, std::nullopt}}});
  std::cout << service.address() << std::endl;
  std::cin.get();
  return 0;
}
