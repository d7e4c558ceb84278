// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_APPLICATION_READER_H_
#define GANTRY_SERVER_ARGOCD_APPLICATION_READER_H_

#include <simdjson.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "server/argocd/application.h"

namespace gantry::argocd {

// Of an Application that is watched, longer messages of Argo CD are cut.
inline constexpr std::size_t kMaxWatchedMessageBytes = 1024;

// What a live read adds to an Application: all that a patch of it is built on besides.
struct LiveParts {
  // JSON texts of `spec.syncPolicy`'s members, which an operation takes over; empty: absent.
  std::string sync_options;
  std::string retry;
  bool has_status = false;               // false also for null
  bool has_operation_state_key = false;  // true also for null: a patch may remove the key
};

// Reads one Application object, front to back, once. An error only when not even its namespace,
// name and resourceVersion can be read; anything else that is wrong is told in `problem`. With
// `live`, messages are kept whole. Any thread.
absl::Status ReadApplication(simdjson::padded_string_view json, Application& application,
                             LiveParts* live = nullptr);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_APPLICATION_READER_H_
