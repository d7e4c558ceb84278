// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/event_recorder.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {
namespace {

constexpr Resource kEvents = {"", "v1", "events"};
constexpr absl::Duration kAttemptTimeout = absl::Seconds(10);
constexpr std::chrono::seconds kFlushTimeout{3};
constexpr std::size_t kMaxMessageBytes = 1024;

}  // namespace

BackgroundEventRecorder::BackgroundEventRecorder(Client& client, std::string component,
                                                 const base::Clock& clock,
                                                 observability::Logger log)
    : client_(client),
      component_(std::move(component)),
      clock_(clock),
      log_(std::move(log)),
      thread_([this] { Work(); }) {}

BackgroundEventRecorder::~BackgroundEventRecorder() {
  const auto deadline = std::chrono::steady_clock::now() + kFlushTimeout;
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
    while (!queue_.empty() && wake_.WaitUntil(mutex_, deadline)) {
    }
    queue_.clear();
  }
  stop_.Cancel();
  wake_.NotifyAll();
  thread_.join();
}

void BackgroundEventRecorder::Record(const ObjectReference& object, const std::string& reason,
                                     const std::string& message) {
  const absl::Time now = clock_.Now();
  const std::string time = base::UtcTime(now);
  // client-go's naming: the object's name and the time, so that repeated Events differ.
  std::string name = base::StrCat(object.name, ".", absl::Hex(absl::ToUnixNanos(now)));
  const nlohmann::json body = {{"apiVersion", "v1"},
                               {"kind", "Event"},
                               {"metadata", {{"namespace", object.ns}, {"name", name}}},
                               {"involvedObject",
                                {{"apiVersion", object.api_version},
                                 {"kind", object.kind},
                                 {"namespace", object.ns},
                                 {"name", object.name},
                                 {"uid", object.uid},
                                 {"resourceVersion", object.resource_version}}},
                               {"type", "Normal"},
                               {"reason", reason},
                               {"message", message.substr(0, kMaxMessageBytes)},
                               {"source", {{"component", component_}}},
                               {"firstTimestamp", time},
                               {"lastTimestamp", time},
                               {"count", 1}};
  Event event{object.ns, std::move(name),
              body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
  {
    base::MutexLock lock(mutex_);
    if (!stopping_ && queue_.size() < kMaxQueued) {
      queue_.push_back(std::move(event));
      wake_.NotifyAll();
      return;
    }
  }
  log_.Warning("an Event was dropped because too many are waiting",
               {{"namespace", object.ns}, {"name", object.name}, {"reason", reason}});
}

void BackgroundEventRecorder::Work() {
  while (true) {
    Event event;
    {
      base::MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.Wait(mutex_);
      if (queue_.empty()) return;
      event = queue_.front();
    }
    base::Context context(stop_, kAttemptTimeout);
    const absl::StatusOr<JsonText> stored =
        client_.Create(kEvents, event.ns, event.name, event.body, context);
    if (!stored.ok()) {
      log_.Warning("an Event could not be stored",
                   {{"error", base::ToStd(stored.status().message())}});
    }
    base::MutexLock lock(mutex_);
    // It stays in the queue while it is being sent, so that stopping waits for it.
    if (!queue_.empty()) queue_.pop_front();
    wake_.NotifyAll();
  }
}

}  // namespace gantry::kubernetes
