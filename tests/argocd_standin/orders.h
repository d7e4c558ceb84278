// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_ORDERS_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_ORDERS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace gantry::argocd_standin {

// The annotations on an Application by which the stand-in is told how to behave begin with this.
inline constexpr std::string_view kOrderPrefix = "standin.gantry.dev/";

// One such annotation, for the documentation and to tell a misspelled one.
struct OrderHelp {
  std::string_view name;  // behind the prefix
  std::string_view value;
  std::string_view meaning;
};
const std::vector<OrderHelp>& OrderHelps();

// Where an operation stops for good.
enum class Hang { kNot, kSync, kHook };

// What the annotations of one Application say. An annotation that is taken away ends what it
// ordered.
struct Orders {
  std::optional<std::string> fail;   // an operation ends Failed, with this message
  std::optional<std::string> error;  // ... Error
  Hang hang = Hang::kNot;            // an operation never ends
  bool sync_window = false;          // an operation does not begin to sync
  bool degrade = false;              // health is Degraded
  std::string health;                // this is the health, as it is; empty: as it comes
  // The cluster is not as it was deployed: "true" for good, anything else until the next sync.
  std::optional<std::string> drift;
  bool self_heal = false;         // drift follows each whole operation, and is healed
  bool deployed = false;          // counts as deployed, if it never was
  bool lose_sync_result = false;  // an operation ends without syncResult
  bool no_reconcile = false;      // nothing is compared, reconciledAt stays
  std::string condition;          // the type of a condition; empty: none
  std::string condition_message;
  std::string revision;  // what branches and tags resolve to; empty: made up
  // What they resolve to by name; others are not there then. Empty: all are.
  std::map<std::string, std::string> revisions;
  std::optional<absl::Duration> sync_duration;

  // Annotations that were not understood and count for nothing, in words.
  std::vector<std::string> problems;
};
Orders OrdersOf(const nlohmann::json& application);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_ORDERS_H_
