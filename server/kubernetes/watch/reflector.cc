// SPDX-License-Identifier: Apache-2.0
//
// The state machine stands in ARCHITECTURE.md, under "The reflector's state machine".
#include "server/kubernetes/watch/reflector.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "server/kubernetes/api/api_request.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/list_pages.h"
#include "server/kubernetes/api/object_splitter.h"
#include "server/kubernetes/api/response_error.h"
#include "server/kubernetes/watch/reflector_policy.h"
#include "server/kubernetes/watch/watch_event.h"

namespace gantry::kubernetes {
namespace {

constexpr int kPageSize = 500;
constexpr int kMinWatchSeconds = 300;
constexpr int kMaxWatchSeconds = 600;
// The API server answers a list within a minute or gives up on it.
constexpr absl::Duration kListIdleLimit = absl::Minutes(1);

}  // namespace

// All of a reflector's state. The reflector's thread alone.
class Reflector::Loop {
 public:
  Loop(std::shared_ptr<ApiConnection> connection, const Resource& resource, std::string ns,
       ObjectSink& sink, ReflectorOptions options)
      : connection_(std::move(connection)),
        resource_(resource),
        ns_(std::move(ns)),
        sink_(sink),
        options_(std::move(options)),
        backoff_(*options_.clock, *options_.random),
        state_(options_.streaming_list ? State::kStreaming : State::kListing) {}

  void Run(base::Context& context);

 private:
  enum class State { kStreaming, kListing, kWatching };

  // What one watch has come to so far.
  struct Watch {
    ApiTarget target;
    absl::Duration sent;
    absl::Duration idle_limit;
    bool listing = false;  // the initial events have not ended yet
    bool had_event = false;
    CatchUp catch_up;
    bool streaming_ignored = false;  // the server does not know of initial events
    absl::Status failure;
  };

  // Each does what its state asks for once, goes to the next state, and returns how long to wait
  // before that.
  absl::Duration StepStreaming(base::Context& context);
  absl::Duration StepListing(base::Context& context);
  absl::Duration StepWatching(base::Context& context);

  // Lists everything; sets resource_version_.
  absl::Status List(base::Context& context);
  // Puts the items of one response.
  absl::StatusOr<ListMetadata> ReadPage(const ApiTarget& target, base::Context& context);
  // Runs a watch to its end, of whatever kind.
  WatchEnd RunWatch(Watch& watch, base::Context& context);
  // Goes to the next state and returns how long to wait before that.
  absl::Duration AfterWatch(const WatchEnd& end);
  // The error ends the watch.
  absl::Status TakeLine(Watch& watch, simdjson::padded_string_view line);
  absl::Status TakeBookmark(Watch& watch, simdjson::padded_string_view object);
  void TellUpToDate(std::optional<absl::Duration> time);
  void Listed(std::string resource_version, absl::Duration sent);

  ApiTarget Target(Verb verb) const;
  ApiTarget WatchTarget();
  absl::Duration Backoff(const absl::Status& why);
  void Tell(RestartReason reason, const absl::Status& why) const;
  absl::Duration Now() const { return options_.clock->SinceBoot(); }

  const std::shared_ptr<ApiConnection> connection_;
  const Resource resource_;
  const std::string ns_;
  ObjectSink& sink_;
  const ReflectorOptions options_;
  ReflectorBackoff backoff_;
  WatchEventReader reader_;
  State state_;
  // Empty: not known, or of no use any more.
  std::string resource_version_;
  // A watch has expired, and none has had an event since.
  bool expired_ = false;
};

ApiTarget Reflector::Loop::Target(Verb verb) const {
  ApiTarget target;
  target.verb = verb;
  target.resource = resource_;
  target.ns = ns_;
  return target;
}

ApiTarget Reflector::Loop::WatchTarget() {
  ApiTarget target = Target(Verb::kWatch);
  // Each value as likely as the others, so that the watches of many replicas do not end together.
  const int seconds =
      kMinWatchSeconds +
      static_cast<int>(options_.random->Uniform() * (kMaxWatchSeconds - kMinWatchSeconds + 1));
  target.query = {{"watch", "true"},
                  {"allowWatchBookmarks", "true"},
                  {"timeoutSeconds", base::StrCat(seconds)}};
  return target;
}

void Reflector::Loop::TellUpToDate(std::optional<absl::Duration> time) {
  if (time) sink_.UpToDate(*time);
}

void Reflector::Loop::Tell(RestartReason reason, const absl::Status& why) const {
  if (options_.on_restart) options_.on_restart(reason, why);
}

absl::Duration Reflector::Loop::Backoff(const absl::Status& why) {
  return std::max(backoff_.Next(), DetailOf(why).retry_after);
}

void Reflector::Loop::Listed(std::string resource_version, absl::Duration sent) {
  sink_.EndList(resource_version);
  resource_version_ = std::move(resource_version);
  state_ = State::kWatching;
  backoff_.Good();
  sink_.UpToDate(sent);
}

absl::StatusOr<ListMetadata> Reflector::Loop::ReadPage(const ApiTarget& target,
                                                       base::Context& context) {
  ListSplitter splitter([&](simdjson::padded_string_view item) {
    return sink_.Put(EventType::kAdded, item).status();
  });
  const absl::StatusOr<HttpResponse> response = connection_->Stream(
      target, kListIdleLimit, [&](std::string_view chunk) { return splitter.Add(chunk); }, context);
  if (!response.ok()) return response.status();
  if (response->end == HttpResponse::End::kIdle) {
    return MakeError(
        {.kind = ErrorKind::kDeadlineExceeded, .http_status = response->status},
        base::StrCat(Describe(target), ": nothing came for ", absl::FormatDuration(kListIdleLimit),
                     " in the middle of the list"));
  }
  absl::StatusOr<ListMetadata> metadata = splitter.Finish();
  if (!splitter.refused().ok()) {
    return MalformedStream(
        target, base::StrCat("has an item that cannot be used: ", splitter.refused().message()));
  }
  if (!metadata.ok()) return MalformedStream(target, base::ToStd(metadata.status().message()));
  return metadata;
}

absl::Status Reflector::Loop::List(base::Context& context) {
  ListPages list;
  list.target = Target(Verb::kList);
  if (resource_version_.empty()) {
    list.page_size = kPageSize;
  } else {
    // Then the list is read whole.
    list.target.query.emplace_back("resourceVersion", resource_version_);
  }
  absl::Duration sent = Now();
  sink_.BeginList();
  absl::StatusOr<std::string> version = ReadPages(
      list, [&](const ApiTarget& target, bool /*whole*/) { return ReadPage(target, context); },
      [&](const absl::Status& why) {
        Tell(RestartReason::kExpired, why);
        sent = Now();
        sink_.BeginList();
      });
  if (!version.ok()) return version.status();
  if (version->empty()) return MalformedStream(list.target, "is a list without a resourceVersion");
  Listed(*std::move(version), sent);
  return absl::OkStatus();
}

absl::Duration Reflector::Loop::StepListing(base::Context& context) {
  const absl::Status error = List(context);
  if (error.ok() || !context.Check().ok()) return absl::ZeroDuration();
  const RestartReason reason = ReasonOf(error);
  Tell(reason, error);
  if (ReactionToFailedList(reason, !resource_version_.empty()) == Reaction::kListAtOnce) {
    resource_version_.clear();
    return absl::ZeroDuration();
  }
  return Backoff(error);
}

absl::Status Reflector::Loop::TakeBookmark(Watch& watch, simdjson::padded_string_view object) {
  absl::StatusOr<Bookmark> bookmark = reader_.ReadBookmark(object);
  if (!bookmark.ok()) {
    return MalformedStream(watch.target, base::ToStd(bookmark.status().message()));
  }
  if (!watch.listing) {
    resource_version_ = std::move(bookmark->resource_version);
    return absl::OkStatus();
  }
  if (!bookmark->initial_events_end) {
    watch.streaming_ignored = true;
    return MalformedStream(watch.target, "has a bookmark before the initial events have ended");
  }
  watch.listing = false;
  watch.idle_limit = options_.idle_limit;
  Listed(std::move(bookmark->resource_version), watch.sent);
  return absl::OkStatus();
}

absl::Status Reflector::Loop::TakeLine(Watch& watch, simdjson::padded_string_view line) {
  const absl::Duration received = Now();
  const absl::StatusOr<WatchEvent> event = reader_.Read(line);
  if (!event.ok()) return MalformedStream(watch.target, base::ToStd(event.status().message()));
  if (options_.on_event) options_.on_event(WatchEventTypeName(event->type));

  absl::StatusOr<std::string> version;
  switch (event->type) {
    case WatchEvent::Type::kError: {
      // A Status object, as it would be the body of a response.
      HttpResponse response;
      response.status = reader_.ReadErrorCode(event->object);
      response.body = std::string(event->object);
      return ErrorOfResponse(watch.target, response);
    }
    case WatchEvent::Type::kBookmark: {
      const bool ends_list = watch.listing;
      if (absl::Status taken = TakeBookmark(watch, event->object); !taken.ok()) return taken;
      watch.had_event = true;
      if (ends_list) {
        watch.catch_up.Begin(received);
      } else {
        backoff_.Good();
        TellUpToDate(watch.catch_up.Event(received));
      }
      return absl::OkStatus();
    }
    case WatchEvent::Type::kAdded:
      version = sink_.Put(EventType::kAdded, event->object);
      break;
    case WatchEvent::Type::kModified:
      version = sink_.Put(EventType::kModified, event->object);
      break;
    case WatchEvent::Type::kDeleted:
      version = sink_.Delete(event->object);
      break;
  }
  if (!version.ok()) {
    return MalformedStream(watch.target, base::StrCat("has an object that cannot be used: ",
                                                      version.status().message()));
  }
  watch.had_event = true;
  if (watch.listing) return absl::OkStatus();
  if (!version->empty()) resource_version_ = *std::move(version);
  backoff_.Good();
  TellUpToDate(watch.catch_up.Event(received));
  return absl::OkStatus();
}

WatchEnd Reflector::Loop::RunWatch(Watch& watch, base::Context& context) {
  LineSplitter splitter([&](simdjson::padded_string_view line) {
    watch.failure = TakeLine(watch, line);
    return watch.failure;
  });
  const auto take = [&](std::string_view chunk) {
    const bool more = splitter.Add(chunk);
    if (watch.listing && Now() - watch.sent > options_.streaming_list_limit) {
      watch.streaming_ignored = true;
      return false;
    }
    return more;
  };
  const auto quiet = [&] {
    // The rest of a line that has begun is on its way.
    if (!watch.listing && !splitter.in_line()) TellUpToDate(watch.catch_up.Quiet());
  };
  watch.sent = Now();
  watch.catch_up.Begin(watch.sent);
  const absl::StatusOr<HttpResponse> response = connection_->Stream(
      watch.target, watch.idle_limit, take, context, {options_.settle_time, quiet});
  WatchEnd end;
  end.lasted = Now() - watch.sent;
  end.had_event = watch.had_event;
  if (!response.ok()) {
    end.error = response.status();
  } else if (!watch.failure.ok()) {
    end.error = watch.failure;
  } else if (!splitter.status().ok()) {
    end.error = MalformedStream(watch.target, base::ToStd(splitter.status().message()));
  } else {
    end.silent = response->end == HttpResponse::End::kIdle;
  }
  return end;
}

absl::Duration Reflector::Loop::StepStreaming(base::Context& context) {
  Watch watch;
  watch.target = WatchTarget();
  watch.target.query.emplace_back("sendInitialEvents", "true");
  watch.target.query.emplace_back("resourceVersionMatch", "NotOlderThan");
  watch.idle_limit = options_.streaming_list_silence;
  watch.listing = true;
  sink_.BeginList();
  const WatchEnd end = RunWatch(watch, context);
  if (!context.Check().ok()) return absl::ZeroDuration();
  if (!watch.listing) return AfterWatch(end);

  const ErrorDetail detail = DetailOf(end.error);
  const bool refused = detail.http_status == 400 || detail.http_status == 422;
  // A server that was not even reached has not shown what it can.
  const bool silent =
      detail.kind == ErrorKind::kDeadlineExceeded && detail.outcome != WriteOutcome::kNotWritten;
  const bool unanswered = end.error.ok() || silent;
  if (refused || unanswered || watch.streaming_ignored) {
    state_ = State::kListing;
    Tell(RestartReason::kNotStreamed,
         absl::UnimplementedError(base::StrCat(
             Describe(watch.target),
             ": the server does not send the initial list as a stream; it is listed instead",
             end.error.ok() ? "" : ": ", end.error.message())));
    return absl::ZeroDuration();
  }
  Tell(ReasonOf(end.error), end.error);
  return Backoff(end.error);
}

absl::Duration Reflector::Loop::StepWatching(base::Context& context) {
  Watch watch;
  watch.target = WatchTarget();
  watch.target.query.emplace_back("resourceVersion", resource_version_);
  watch.idle_limit = options_.idle_limit;
  const WatchEnd end = RunWatch(watch, context);
  return context.Check().ok() ? AfterWatch(end) : absl::ZeroDuration();
}

absl::Duration Reflector::Loop::AfterWatch(const WatchEnd& end) {
  const RestartReason reason = ReasonOf(end);
  if (end.had_event) expired_ = false;
  absl::Status why = end.error;
  if (reason == RestartReason::kTooShort) {
    why = MalformedStream(Target(Verb::kWatch), "ended at once, without an event");
  }
  Tell(reason, why);
  switch (ReactionTo(reason)) {
    case Reaction::kWatchAtOnce:
      return absl::ZeroDuration();
    case Reaction::kWatchAfterBackoff:
      return Backoff(why);
    case Reaction::kListAtOnce: {
      state_ = State::kListing;
      // A server whose lists expire at once must not be asked for one after the other.
      const bool again = std::exchange(expired_, true);
      return again ? Backoff(why) : absl::ZeroDuration();
    }
    case Reaction::kListAfterBackoff:
      state_ = State::kListing;
      return Backoff(why);
  }
  return Backoff(why);
}

void Reflector::Loop::Run(base::Context& context) {
  while (context.Check().ok()) {
    absl::Duration wait;
    switch (state_) {
      case State::kStreaming:
        wait = StepStreaming(context);
        break;
      case State::kListing:
        wait = StepListing(context);
        break;
      case State::kWatching:
        wait = StepWatching(context);
        break;
    }
    // Ends with the context, which the loop looks at.
    if (wait > absl::ZeroDuration()) (void)options_.sleeper->Sleep(wait, context);
  }
}

Reflector::Reflector(std::shared_ptr<ApiConnection> connection, const Resource& resource,
                     std::string ns, ObjectSink& sink, ReflectorOptions options)
    : loop_(std::make_unique<Loop>(std::move(connection), resource, std::move(ns), sink,
                                   std::move(options))) {}

Reflector::~Reflector() = default;

void Reflector::Run(base::Context& context) { loop_->Run(context); }

}  // namespace gantry::kubernetes
