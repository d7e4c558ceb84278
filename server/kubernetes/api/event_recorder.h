// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_EVENT_RECORDER_H_
#define GANTRY_SERVER_KUBERNETES_API_EVENT_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/kubernetes/api/client.h"
#include "server/observability/log.h"

namespace gantry::kubernetes {

// What an Event is about.
struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
};

// Tells the people who look at an object what happened to it, as `kubectl describe` shows it.
class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  // A Normal Event. Returns at once; an Event that can't be stored is lost.
  virtual void Record(const ObjectReference& object, const std::string& reason,
                      const std::string& message) = 0;
};

// Writes core/v1 Events on a thread of its own, so that no call waits for them and none fails by
// them. Owned by the wiring; any thread may record. Beyond `kMaxQueued` waiting Events new ones
// are dropped, and the log says so.
class BackgroundEventRecorder final : public EventRecorder {
 public:
  static constexpr std::size_t kMaxQueued = 1000;

  // `client` outlives the recorder. `component` names this program in the Events.
  BackgroundEventRecorder(Client& client, std::string component, const base::Clock& clock,
                          observability::Logger log);
  // Gives the Events still waiting a few seconds, then drops them.
  ~BackgroundEventRecorder() override;

  void Record(const ObjectReference& object, const std::string& reason,
              const std::string& message) override;

 private:
  struct Event {
    std::string ns;
    std::string name;
    std::string body;
  };
  void Work();

  Client& client_;
  const std::string component_;
  const base::Clock& clock_;
  const observability::Logger log_;
  base::Mutex mutex_;
  base::ConditionVariable wake_;
  std::deque<Event> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  base::Context stop_;
  std::thread thread_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_EVENT_RECORDER_H_
