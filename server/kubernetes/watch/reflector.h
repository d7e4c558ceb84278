// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_H_
#define GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_H_

#include <simdjson.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/api/client.h"

namespace gantry::kubernetes {

enum class EventType { kAdded, kModified, kDeleted };

// What is kept of the objects that a Reflector follows. Called by the reflector's thread alone.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;

  // A whole list begins: what is not put until EndList is not there any more. A list that fails
  // midway begins again.
  virtual void BeginList() = 0;
  // One object of the list, or one that was added or modified. Returns
  // the object's resourceVersion; an error when not even its metadata can be read, which ends the
  // stream.
  virtual absl::StatusOr<std::string> Put(EventType type, simdjson::padded_string_view json) = 0;
  virtual absl::StatusOr<std::string> Delete(simdjson::padded_string_view json) = 0;
  // `resource_version` is that of the list: what was written later need not have been in it.
  virtual void EndList(std::string_view resource_version) = 0;
  // All that happened on the API server before `time` (since boot) has been put or deleted.
  virtual void UpToDate(absl::Duration time) = 0;
};

// Why a watch or list was begun again.
enum class RestartReason {
  kEnded,        // as the server or the idle limit has it: watched again at once
  kExpired,      // 410: listed again at once
  kThrottled,    // 429: watched again after a backoff
  kUnreachable,  // no connection, or lost: watched again after a backoff
  kTooShort,     // ended within a second without an event: listed again after a backoff
  kFailed,       // anything else: listed again after a backoff
  kNotStreamed,  // the server turned out not to stream lists: listed at once
};
std::string_view RestartReasonName(RestartReason reason);  // "ended", "expired", ... for metrics

struct ReflectorOptions {
  // A watch that was silent for so long is opened again from where it was.
  absl::Duration idle_limit = absl::Seconds(40);
  // Ask for the initial list as a stream of events, where the server can.
  bool streaming_list = true;
  // A server that sends nothing for so long when asked for that, or has not come to the list's end
  // after so long, is taken for one that cannot.
  absl::Duration streaming_list_silence = absl::Seconds(10);
  absl::Duration streaming_list_limit = absl::Minutes(1);
  // A watch that has brought nothing for so long after its beginning, or after a pause, has brought
  // everything there was: only then, and not at the first events of a backlog, is the sink told
  // that it is up to date.
  absl::Duration settle_time = absl::Milliseconds(500);
  const base::Clock* clock = &base::SystemClock();
  base::Sleeper* sleeper = &base::SystemSleeper();
  base::Random* random = &base::SystemRandom();

  // For metrics and the log; may be empty. Called on the reflector's thread.
  std::function<void(std::string_view type)> on_event;  // "ADDED", ..., "BOOKMARK", "ERROR"
  std::function<void(RestartReason reason, const absl::Status& why)> on_restart;
};

// Keeps a sink in step with all objects of a resource in one namespace (empty: in all), by LIST and
// WATCH. ARCHITECTURE.md has its state machine. Owned by the wiring; Run is called once, on a
// thread of its own.
class Reflector {
 public:
  // All outlive it.
  Reflector(std::shared_ptr<ApiConnection> connection, const Resource& resource, std::string ns,
            ObjectSink& sink, ReflectorOptions options);
  ~Reflector();

  // Returns when the context has ended, within milliseconds.
  void Run(base::Context& context);

 private:
  class Loop;
  const std::unique_ptr<Loop> loop_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_H_
