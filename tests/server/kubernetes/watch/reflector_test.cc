// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/watch/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/object_splitter.h"
#include "tests/server/kubernetes/fakes.h"
#include "tests/server/kubernetes/scripted_server.h"

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using Request = ScriptedServer::Request;
using Connection = ScriptedServer::Connection;
// What the server does with one request.
using Step = std::function<void(const Request&, Connection&)>;

constexpr Resource kReflected = {"argoproj.io", "v1alpha1", "applications"};
constexpr absl::Duration kBegin = absl::Hours(1);  // what FakeClock begins with

// Notes what it is told. Any thread may look.
class RecordingSink final : public ObjectSink {
 public:
  void BeginList() override { Note("begin"); }
  absl::StatusOr<std::string> Put(EventType type, simdjson::padded_string_view json) override {
    return Take(type == EventType::kAdded ? "added " : "modified ", json);
  }
  absl::StatusOr<std::string> Delete(simdjson::padded_string_view json) override {
    return Take("deleted ", json);
  }
  void EndList(std::string_view /*resource_version*/) override { Note("end"); }
  void UpToDate(absl::Duration time) override {
    {
      base::MutexLock lock(mutex_);
      up_to_date_.push_back(time - kBegin);
    }
    changed_.NotifyAll();
  }

  std::vector<std::string> log() const {
    base::MutexLock lock(mutex_);
    return log_;
  }
  std::vector<absl::Duration> up_to_date() const {
    base::MutexLock lock(mutex_);
    return up_to_date_;
  }
  void WaitForLog(std::size_t count) {
    base::MutexLock lock(mutex_);
    while (log_.size() < count) changed_.Wait(mutex_);
  }
  void WaitForUpToDate(std::size_t count) {
    base::MutexLock lock(mutex_);
    while (up_to_date_.size() < count) changed_.Wait(mutex_);
  }

 private:
  void Note(std::string what) {
    {
      base::MutexLock lock(mutex_);
      log_.push_back(std::move(what));
    }
    changed_.NotifyAll();
  }
  absl::StatusOr<std::string> Take(const char* what, simdjson::padded_string_view json) {
    // A sanitizer would object if the padding were not there.
    const std::string padded(json.data(), json.size() + JsonText::kPadding);
    const auto object = nlohmann::json::parse(padded.substr(0, json.size()), nullptr, false);
    if (!object.is_object() || !object.contains("metadata")) {
      return absl::InvalidArgumentError("no metadata");
    }
    Note(what + object["metadata"].value("name", ""));
    return object["metadata"].value("resourceVersion", "");
  }

  mutable base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> up_to_date_ ABSL_GUARDED_BY(mutex_);
};

// Sends the requests whose numbers (from 1) are given to a port where nobody listens.
class RefusingTransport final : public Transport {
 public:
  RefusingTransport(std::unique_ptr<Transport> transport, std::vector<int> refused)
      : transport_(std::move(transport)), refused_(std::move(refused)) {
    CurlTransportOptions options;
    options.server = "http://127.0.0.1:1";
    nowhere_ = *CurlTransport::Create(options);
  }
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, base::Context& context) override {
    const bool refuse = ::testing::Value(refused_, Contains(++requests_));
    return (refuse ? *nowhere_ : *transport_).Send(request, context);
  }

 private:
  const std::unique_ptr<Transport> transport_;
  std::unique_ptr<Transport> nowhere_;
  const std::vector<int> refused_;
  int requests_ = 0;
};

std::string Object(const std::string& name, const std::string& version) {
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" + version + R"("}})";
}
std::string Event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
std::string Added(const std::string& name, const std::string& version) {
  return Event("ADDED", Object(name, version));
}
std::string BookmarkAt(const std::string& version) {
  return Event("BOOKMARK",
               R"({"kind":"Application","metadata":{"resourceVersion":")" + version + R"("}})");
}
std::string InitialEventsEnd(const std::string& version) {
  return Event("BOOKMARK", R"({"metadata":{"resourceVersion":")" + version +
                               R"(","annotations":{"k8s.io/initial-events-end":"true"}}})");
}
std::string ErrorEvent(int code, const std::string& reason) {
  return Event("ERROR", R"({"kind":"Status","status":"Failure","message":"as the test has it",)"
                        R"("reason":")" +
                            reason + R"(","code":)" + std::to_string(code) + "}");
}
std::string ListBody(const std::string& items, const std::string& version,
                     const std::string& token = "") {
  return R"({"kind":"ApplicationList","metadata":{"resourceVersion":")" + version +
         R"(","continue":")" + token + R"("},"items":[)" + items + "]}";
}

constexpr char kStreamHeader[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr char kStreamEnd[] = "0\r\n\r\n";
std::string Chunk(const std::string& bytes) {
  return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
}

// A step that answers.
Step Answer(int status, std::string body, std::string headers = "") {
  return [=](const Request&, Connection& connection) { connection.Respond(status, body, headers); };
}
Step List(const std::string& items, const std::string& version, const std::string& token = "") {
  return Answer(200, ListBody(items, version, token));
}
// A watch that has these lines, and is then ended by the server.
Step Watch(std::string lines) {
  return [=](const Request&, Connection& connection) {
    connection.Send(kStreamHeader + (lines.empty() ? "" : Chunk(lines)) + kStreamEnd);
  };
}
// ... and is then silent.
Step SilentWatch(std::string lines) {
  return [=](const Request&, Connection& connection) {
    connection.Send(kStreamHeader + (lines.empty() ? "" : Chunk(lines)));
    connection.WaitForClientToGo();
  };
}
// ... and is then lost.
Step LostWatch(std::string lines) {
  return [=](const Request&, Connection& connection) {
    connection.Send(kStreamHeader + (lines.empty() ? "" : Chunk(lines)));
    connection.Close();
  };
}

std::string QueryOf(const Request& request) {
  const std::size_t mark = request.target.find('?');
  return mark == std::string::npos ? "" : request.target.substr(mark + 1);
}
std::string Parameter(const Request& request, const std::string& name) {
  const std::string query = "&" + QueryOf(request) + "&";
  const std::size_t begin = query.find("&" + name + "=");
  if (begin == std::string::npos) return "";
  const std::size_t value = begin + name.size() + 2;
  return query.substr(value, query.find('&', value) - value);
}

// What a test with a short limit may count on: on a busy machine the limit may pass again before
// the request that ends the test arrives.
template <typename T>
std::vector<T> First(std::size_t count, std::vector<T> all) {
  if (all.size() > count) all.erase(all.begin() + static_cast<std::ptrdiff_t>(count), all.end());
  return all;
}

// Runs a reflector against a server that follows a script of one step for each request. The first
// request beyond the script ends the test.
class ReflectorTest : public ::testing::Test {
 protected:
  ReflectorTest() {
    options_.streaming_list = false;
    // So short that a test need not wait for it, and may not count on an event within it.
    options_.settle_time = absl::Milliseconds(1);
    options_.clock = &clock_;
    options_.sleeper = &sleeper_;
    options_.random = &random_;
    options_.on_event = [this](std::string_view type) { events_.emplace_back(type); };
    options_.on_restart = [this](RestartReason reason, const absl::Status& why) {
      restarts_.emplace_back(RestartReasonName(reason));
      reasons_.push_back(why);
    };
  }

  void Run(const std::vector<Step>& script) {
    std::atomic<std::size_t> next = 0;
    ScriptedServer server([&](const Request& request, Connection& connection) {
      const std::size_t step = next++;
      if (step < script.size()) return script[step](request, connection);
      context_.Cancel();
      connection.WaitForClientToGo();
    });
    CurlTransportOptions transport_options;
    transport_options.server = scheme_ + std::to_string(server.port());
    std::unique_ptr<Transport> transport = *CurlTransport::Create(transport_options, clock_);
    if (!refused_requests_.empty()) {
      transport = std::make_unique<RefusingTransport>(std::move(transport), refused_requests_);
    }
    ClientOptions client_options;
    client_options.clock = &clock_;
    client_options.sleeper = &sleeper_;
    client_options.random = &random_;
    const auto connection = std::make_shared<ApiConnection>(std::move(transport),
                                                            std::make_unique<FixedCredentials>(""),
                                                            Impersonation(), client_options);
    Reflector reflector(connection, kReflected, "argocd", sink_, options_);
    reflector.Run(context_);
    requests_ = server.requests();
  }

  // The requests in short: "list", "list from 7 limit 500 continue x", "watch from 7", "stream".
  std::vector<std::string> Asked() const {
    std::vector<std::string> asked;
    for (const Request& request : requests_) {
      const bool watch = Parameter(request, "watch") == "true";
      std::string text = !watch                                            ? "list"
                         : Parameter(request, "sendInitialEvents").empty() ? "watch"
                                                                           : "stream";
      for (const auto& [name, word] : std::vector<std::pair<std::string, std::string>>{
               {"resourceVersion", " from "}, {"limit", " limit "}, {"continue", " continue "}}) {
        if (const std::string value = Parameter(request, name); !value.empty()) {
          text += word + value;
        }
      }
      asked.push_back(text);
    }
    return asked;
  }

  FakeClock clock_;
  FakeSleeper sleeper_{clock_};
  FixedRandom random_{0.5};
  ReflectorOptions options_;
  RecordingSink sink_;
  base::Context context_;
  std::string scheme_ = "http://127.0.0.1:";
  std::vector<int> refused_requests_;
  std::vector<Request> requests_;
  std::vector<std::string> events_;
  std::vector<std::string> restarts_;
  std::vector<absl::Status> reasons_;
};

// Of a fixed random number of one half.
constexpr absl::Duration kFirstDelay = absl::Milliseconds(600);
constexpr absl::Duration kSecondDelay = absl::Milliseconds(1200);

// What goes well.

TEST_F(ReflectorTest, ListsAndWatches) {
  Run({List(Object("a", "3") + "," + Object("b", "4"), "5"),
       Watch(Added("c", "6") + Event("MODIFIED", Object("a", "7")) +
             Event("DELETED", Object("b", "8")))});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "added a", "added b", "end", "added c",
                                       "modified a", "deleted b"));
  EXPECT_THAT(events_, ElementsAre("ADDED", "MODIFIED", "DELETED"));
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 8"));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ReflectorTest, SendsExactlyTheParametersThatAreMeant) {
  options_.streaming_list = true;
  Run({Answer(422, ""), List("", "5", "x"), List("", "5"), Watch("nonsense\n"), List("", "6")});
  const std::string path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications?";
  const std::string watch = path + "watch=true&allowWatchBookmarks=true&timeoutSeconds=450&";
  std::vector<std::string> targets;
  for (const Request& request : requests_) targets.push_back(request.target);
  EXPECT_THAT(
      targets,
      ElementsAre(watch + "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                  path + "limit=500", path + "limit=500&continue=x", watch + "resourceVersion=5",
                  path + "resourceVersion=5", watch + "resourceVersion=6"));
}

TEST_F(ReflectorTest, WatchesForFiveToTenMinutes) {
  for (const auto& [random, seconds] :
       std::vector<std::pair<double, std::string>>{{0.0, "300"}, {0.9999, "600"}}) {
    FixedRandom fixed(random);
    options_.random = &fixed;
    base::Context context;
    std::string asked;
    ScriptedServer server([&](const Request& request, Connection& connection) {
      if (QueryOf(request) == "limit=500") return connection.Respond(200, ListBody("", "5"));
      asked = Parameter(request, "timeoutSeconds");
      context.Cancel();
      connection.WaitForClientToGo();
    });
    CurlTransportOptions transport;
    transport.server = server.url();
    Reflector(std::make_shared<ApiConnection>(*CurlTransport::Create(transport),
                                              std::make_unique<FixedCredentials>(""),
                                              Impersonation(), ClientOptions()),
              kReflected, "argocd", sink_, options_)
        .Run(context);
    EXPECT_EQ(asked, seconds);
  }
}

TEST_F(ReflectorTest, ListsInPages) {
  Run({List(Object("a", "3"), "5", "one"), List(Object("b", "3"), "5", "two"),
       List(Object("c", "3"), "5")});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "added a", "added b", "added c", "end"));
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "list limit 500 continue one",
                                   "list limit 500 continue two", "watch from 5"));
}

TEST_F(ReflectorTest, OnlyAListMayComeCompressed) {
  Run({List("", "5")});
  ASSERT_THAT(requests_, SizeIs(2));
  EXPECT_EQ(requests_[0].Header("Accept-Encoding"), "gzip");
  EXPECT_EQ(requests_[1].Header("Accept-Encoding"), "");
}

TEST_F(ReflectorTest, BookmarkAdvancesResourceVersion) {
  Run({List("", "5"), Watch(BookmarkAt("9"))});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "end"));
  EXPECT_THAT(events_, ElementsAre("BOOKMARK"));
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 9"));
}

TEST_F(ReflectorTest, TellsHowFreshItIs) {
  Run({[&](const Request&, Connection& connection) {
         clock_.Advance(absl::Seconds(5));
         connection.Respond(200, ListBody(Object("a", "3"), "5", "x"));
       },
       [&](const Request&, Connection& connection) {
         clock_.Advance(absl::Seconds(5));
         connection.Respond(200, ListBody(Object("b", "3"), "5"));
       },
       [&](const Request&, Connection& connection) {
         sink_.WaitForUpToDate(1);
         clock_.Advance(absl::Seconds(7));
         connection.Send(kStreamHeader);
         sink_.WaitForUpToDate(2);
         clock_.Advance(absl::Seconds(20));
         connection.Send(Chunk(Added("c", "6")));
         sink_.WaitForUpToDate(3);
         clock_.Advance(absl::Seconds(30));
         connection.Send(Chunk(BookmarkAt("7")));
         sink_.WaitForUpToDate(4);
         connection.Send(Chunk(ErrorEvent(429, "TooManyRequests")) + kStreamEnd);
       }});
  // When the list's first request was sent, when the watch's was, and when the two events came:
  // each told when nothing more came.
  EXPECT_THAT(sink_.up_to_date(), ElementsAre(absl::ZeroDuration(), absl::Seconds(10),
                                              absl::Seconds(37), absl::Seconds(67)));
}

TEST_F(ReflectorTest, AnAcceptedWatchThatIsQuietIsASignOfLife) {
  Run({List("", "5"), [&](const Request&, Connection& connection) {
         clock_.Advance(absl::Seconds(3));
         connection.Send(kStreamHeader);
         sink_.WaitForUpToDate(2);
         connection.Close();
       }});
  EXPECT_THAT(sink_.up_to_date(), SizeIs(2));
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(ReflectorTest, ClaimsNothingUntilTheBacklogIsIn) {
  // Each event comes a second after the one before.
  options_.on_event = [&](std::string_view) { clock_.Advance(absl::Seconds(1)); };
  Run({List("", "5"), [&](const Request&, Connection& connection) {
         connection.Send(kStreamHeader +
                         Chunk(Added("a", "6") + BookmarkAt("7") + Added("b", "8")));
         sink_.WaitForUpToDate(2);
         connection.Close();
       }});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "end", "added a", "added b"));
  EXPECT_THAT(sink_.up_to_date(), ElementsAre(absl::ZeroDuration(), absl::Seconds(2)));
}

TEST_F(ReflectorTest, ClaimsNothingInTheMiddleOfALine) {
  // The rest of the second event does not come before the stream has been silent for long.
  options_.idle_limit = absl::Milliseconds(200);
  const std::string cut = Added("b", "7").substr(0, 20);
  Run({List("", "5"), SilentWatch(Added("a", "6") + cut)});
  EXPECT_THAT(First(1, restarts_), ElementsAre("ended"));
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "end", "added a"));
  EXPECT_THAT(sink_.up_to_date(), ElementsAre(absl::ZeroDuration()));
}

TEST_F(ReflectorTest, AnEventAfterALongPauseClaimsNothingUntilQuiet) {
  options_.on_event = [&](std::string_view) { clock_.Advance(absl::Seconds(1)); };
  Run({List("", "5"), [&](const Request&, Connection& connection) {
         connection.Send(kStreamHeader);
         sink_.WaitForUpToDate(2);
         clock_.Advance(absl::Seconds(20));
         connection.Send(Chunk(Added("a", "6") + Added("b", "7")));
         sink_.WaitForUpToDate(3);
         clock_.Advance(absl::Seconds(3));
         connection.Send(Chunk(Added("c", "8") + Added("d", "9")));
         sink_.WaitForUpToDate(5);
         connection.Close();
       }});
  EXPECT_THAT(sink_.up_to_date(),
              ElementsAre(absl::ZeroDuration(), absl::ZeroDuration(), absl::Seconds(21),
                          absl::Seconds(25), absl::Seconds(26)));
}

TEST_F(ReflectorTest, ABusyWatchIsCaughtUpAfterTenSeconds) {
  options_.settle_time = absl::InfiniteDuration();
  options_.on_event = [&](std::string_view) { clock_.Advance(absl::Seconds(4)); };
  Run({List("", "5"), Watch(Added("a", "6") + Added("b", "7") + Added("c", "8") + Added("d", "9") +
                            Added("e", "10"))});
  EXPECT_THAT(sink_.up_to_date(),
              ElementsAre(absl::ZeroDuration(), absl::Seconds(12), absl::Seconds(16)));
}

// Lists that fail.

TEST_F(ReflectorTest, ListsWholeAfterGoneOnLaterPage) {
  Run({List(Object("a", "3"), "5", "one"), Answer(410, ""),
       List(Object("a", "3") + "," + Object("b", "4"), "6")});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "added a", "begin", "added a", "added b", "end"));
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "list limit 500 continue one", "list", "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("expired"));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ReflectorTest, RelistUsesLastResourceVersion) {
  Run({List("", "5"), Watch(Added("a", "7") + "nonsense\n"), List(Object("a", "7"), "9")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 7", "watch from 9"));
}

TEST_F(ReflectorTest, RelistsAtOnceWithoutResourceVersionWhenThatHasExpired) {
  Run({List("", "5"), Answer(403, ""), Answer(410, ""), List("", "9")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "list from 5",
                                   "list limit 500", "watch from 9"));
  EXPECT_THAT(restarts_, ElementsAre("failed", "expired"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, RelistsAtOnceWithoutResourceVersionWhenThatIsTooLarge) {
  Run({List("", "5"), Answer(403, ""),
       Answer(504,
              R"({"kind":"Status","reason":"Timeout","details":{"causes":[)"
              R"({"reason":"ResourceVersionTooLarge"}]},"code":504})",
              "Retry-After: 1\r\n"),
       List("", "3")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "list from 5",
                                   "list limit 500", "watch from 3"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, ListsAgainAfterBackoffWhenGoneWithoutResourceVersion) {
  Run({Answer(410, ""), List("", "5")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "list limit 500", "watch from 5"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, NeverWatchesBeforeAListIsComplete) {
  refused_requests_ = {1};
  Run({Answer(429, ""), Answer(403, ""), Answer(500, ""), List("", "5")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "list limit 500", "list limit 500",
                                   "list limit 500", "watch from 5"));
  EXPECT_THAT(restarts_, ElementsAre("unreachable", "throttled", "failed", "failed"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, kSecondDelay, absl::Milliseconds(2400),
                                           absl::Milliseconds(4800)));
  EXPECT_THAT(sink_.up_to_date(), ElementsAre(absl::Seconds(9)));
}

TEST_F(ReflectorTest, WaitsAsLongAsTheServerAsks) {
  Run({Answer(429, "", "Retry-After: 7\r\n"), Answer(429, "", "Retry-After: 1\r\n"), List("", "5"),
       Answer(429, "", "Retry-After: 9\r\n")});
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(7), kSecondDelay, absl::Seconds(9)));
}

TEST_F(ReflectorTest, AListThatIsLostMidwayBeginsAgain) {
  const std::string body = ListBody(Object("a", "3") + "," + Object("b", "3"), "5");
  Run({[&](const Request&, Connection& connection) {
         connection.Send(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", body.size(),
                                      "\r\n\r\n", body.substr(0, body.size() - 9)));
         connection.Close();
       },
       Answer(200, body)});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "added a", "begin", "added a", "added b", "end"));
  EXPECT_THAT(restarts_, ElementsAre("unreachable"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, AListThatEndsEarlyIsNone) {
  Run({Answer(200, R"({"items":[)" + Object("a", "3") + "],"), List("", "5")});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "added a", "begin", "end"));
  EXPECT_THAT(restarts_, ElementsAre("failed"));
  EXPECT_THAT(std::string(reasons_[0].message()),
              AllOf(HasSubstr("list applications.argoproj.io in namespace argocd: HTTP 200"),
                    HasSubstr("is not a list in JSON")));
}

TEST_F(ReflectorTest, AListThatCannotBeFollowedIsNone) {
  Run({Answer(200, R"({"items":[],"metadata":{}})"), List("", "5", "x"), List("", "5", "x"),
       List("{}", "5"), List("", "5")});
  EXPECT_THAT(restarts_, ElementsAre("failed", "failed", "failed"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("without a resourceVersion"));
  EXPECT_THAT(std::string(reasons_[1].message()), HasSubstr("the same page for ever"));
  EXPECT_THAT(std::string(reasons_[2].message()),
              HasSubstr("an item that cannot be used: no metadata"));
}

// Watches that end: each kind has one reaction.

TEST_F(ReflectorTest, WatchesAgainAtOnceWhenTheServerEndsTheWatch) {
  Run({List("", "5"), Watch(Added("a", "6")), Watch(BookmarkAt("7"))});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "watch from 6", "watch from 7"));
  EXPECT_THAT(restarts_, ElementsAre("ended", "ended"));
  EXPECT_THAT(reasons_, ElementsAre(absl::OkStatus(), absl::OkStatus()));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ReflectorTest, ReopensSilentWatch) {
  // Nothing else comes, so the length of the silence makes no difference to the outcome; it is
  // only long enough that the list before it is not silent.
  options_.idle_limit = absl::Milliseconds(200);
  Run({List("", "5"), SilentWatch(BookmarkAt("7"))});
  EXPECT_THAT(First(3, Asked()), ElementsAre("list limit 500", "watch from 5", "watch from 7"));
  EXPECT_THAT(First(1, restarts_), ElementsAre("ended"));
  // This one is followed by no delay.
  EXPECT_THAT(sleeper_.delays, SizeIs(restarts_.size() - 1));
}

TEST_F(ReflectorTest, ReopensWatchThatWasSilentFromTheStart) {
  options_.idle_limit = absl::Milliseconds(200);
  Run({List("", "5"), SilentWatch("")});
  EXPECT_THAT(First(3, Asked()), ElementsAre("list limit 500", "watch from 5", "watch from 5"));
  EXPECT_THAT(First(1, restarts_), ElementsAre("ended"));
}

TEST_F(ReflectorTest, RelistsAtOnceOnGoneStatus) {
  Run({List("", "5"), Answer(410, ""), List("", "9")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 5", "watch from 9"));
  EXPECT_THAT(restarts_, ElementsAre("expired"));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ReflectorTest, RelistsAtOnceOnGoneEvent) {
  Run({List("", "5"), Watch(Added("a", "6") + ErrorEvent(410, "Expired") + Added("b", "7")),
       List("", "9")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 6", "watch from 9"));
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "end", "added a", "begin", "end"));
  EXPECT_THAT(events_, ElementsAre("ADDED", "ERROR"));
  EXPECT_THAT(restarts_, ElementsAre("expired"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("HTTP 410 Expired: as the test"));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ReflectorTest, RelistsAfterBackoffWhenEachListExpiresAtOnce) {
  Run({List("", "5"), Answer(410, ""), List("", "6"), Answer(410, ""), List("", "7"),
       Watch(Added("a", "8") + ErrorEvent(410, "Expired")), List("", "9")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "list from 5", "watch from 6",
                                   "list from 6", "watch from 7", "list from 8", "watch from 9"));
  EXPECT_THAT(restarts_, ElementsAre("expired", "expired", "expired"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, NoRelistOnTooManyRequests) {
  Run({List("", "5"), Answer(429, ""), Answer(429, ""), Watch(Added("a", "6"))});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 5", "watch from 5",
                                   "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("throttled", "throttled", "ended"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, kSecondDelay));
}

TEST_F(ReflectorTest, NoRelistOnTooManyRequestsEvent) {
  Run({List("", "5"), Watch(Added("a", "6") + ErrorEvent(429, "TooManyRequests"))});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("throttled"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, WatchesAgainAfterConnectionRefused) {
  refused_requests_ = {2, 3};
  Run({List("", "5")});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5"));
  EXPECT_THAT(restarts_, ElementsAre("unreachable", "unreachable"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("Connection refused"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, kSecondDelay));
}

TEST_F(ReflectorTest, WatchesAgainAfterConnectionLost) {
  Run({List("", "5"), LostWatch(Added("a", "6")), LostWatch("")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "watch from 6", "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("unreachable", "unreachable"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, kSecondDelay));
}

TEST_F(ReflectorTest, WatchesAgainAfterAnswerThatDoesNotCome) {
  options_.idle_limit = absl::Milliseconds(50);
  Run({List("", "5"),
       [](const Request&, Connection& connection) { connection.WaitForClientToGo(); }});
  EXPECT_THAT(First(3, Asked()), ElementsAre("list limit 500", "watch from 5", "watch from 5"));
  EXPECT_THAT(First(1, restarts_), ElementsAre("unreachable"));
  EXPECT_THAT(First(1, sleeper_.delays), ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, RelistsAfterVeryShortWatch) {
  Run({List("", "5"), Watch(""), List("", "6")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 5", "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("too_short"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("ended at once, without an event"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(ReflectorTest, WatchesAgainAfterQuietWatch) {
  Run({List("", "5"), [&](const Request&, Connection& connection) {
         connection.Send(kStreamHeader);
         sink_.WaitForUpToDate(2);
         clock_.Advance(absl::Seconds(1));
         connection.Send(kStreamEnd);
       }});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 5"));
  EXPECT_THAT(restarts_, ElementsAre("ended"));
}

TEST_F(ReflectorTest, DropsPartialLastLine) {
  const std::string cut = Event("ADDED", Object("b", "7"));
  Run({List("", "5"), Watch(Added("a", "6") + cut.substr(0, cut.size() - 1))});
  EXPECT_THAT(sink_.log(), ElementsAre("begin", "end", "added a"));
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5", "watch from 6"));
  EXPECT_THAT(restarts_, ElementsAre("ended"));
}

TEST_F(ReflectorTest, FailsOnTooLongLine) {
  Run({List("", "5"), SilentWatch(Added("a", "6") + std::string(kMaxObjectBytes + 1, ' ')),
       List("", "9")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 6", "watch from 9"));
  EXPECT_THAT(restarts_, ElementsAre("failed"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("a line of more than 16777216 bytes"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

struct FailureCase {
  const char* name;
  Step step;
  std::string message;
};
void PrintTo(const FailureCase& test, std::ostream* out) { *out << test.name; }

class FailureTest : public ReflectorTest, public ::testing::WithParamInterface<FailureCase> {};

TEST_P(FailureTest, RelistsAfterBackoff) {
  Run({List("", "5"), GetParam().step, List("", "9")});
  EXPECT_THAT(Asked(),
              ElementsAre("list limit 500", "watch from 5", "list from 5", "watch from 9"));
  EXPECT_THAT(restarts_, ElementsAre("failed"));
  ASSERT_THAT(reasons_, SizeIs(1));
  EXPECT_THAT(std::string(reasons_[0].message()),
              AllOf(HasSubstr("watch applications.argoproj.io in namespace argocd: HTTP "),
                    HasSubstr(GetParam().message)));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

INSTANTIATE_TEST_SUITE_P(
    All, FailureTest,
    ::testing::ValuesIn(std::vector<FailureCase>{
        {"Forbidden", Answer(403, ""), "HTTP 403"},
        {"NotFound", Answer(404, "404 page not found"), "HTTP 404"},
        {"Refused", Answer(400, ""), "HTTP 400"},
        {"ServerError", Answer(500, ""), "HTTP 500"},
        {"Unavailable", Answer(503, "", "Retry-After: 0\r\n"), "HTTP 503"},
        {"ErrorEvent", Watch(ErrorEvent(500, "InternalError")), "HTTP 500 InternalError"},
        {"ErrorEventWithoutCode", Watch(Event("ERROR", "{}")), "HTTP 500"},
        {"MalformedLine", Watch("<html>\n"), "no event in JSON"},
        {"UnknownType", Watch(Event("OTHER", "{}")), "none of this API"},
        {"UnreadableObject", Watch(Event("ADDED", "{}")), "cannot be used: no metadata"},
        {"UnreadableDeletedObject", Watch(Event("DELETED", "{}")), "cannot be used: no metadata"},
        {"UnreadableBookmark", Watch(Event("BOOKMARK", "{}")), "whose metadata cannot be read"},
    }),
    [](const auto& test) { return test.param.name; });

TEST_F(ReflectorTest, BackoffBeginsAnewAfterTwoGoodMinutesWithEvents) {
  const auto good_for = [&](absl::Duration time) -> Step {
    return [this, time](const Request&, Connection& connection) {
      const std::size_t seen = sink_.up_to_date().size();
      connection.Send(kStreamHeader + Chunk(BookmarkAt("7")));
      sink_.WaitForUpToDate(seen + 1);
      clock_.Advance(time);
      connection.Send(Chunk(ErrorEvent(429, "TooManyRequests")) + kStreamEnd);
    };
  };
  Run({Answer(500, ""), Answer(500, ""), List("", "5"), Answer(429, ""),
       good_for(absl::Seconds(119)), good_for(absl::Seconds(120))});
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, kSecondDelay, absl::Milliseconds(2400),
                                           absl::Milliseconds(4800), kFirstDelay));
}

// The initial list as a stream.

class StreamingListTest : public ReflectorTest {
 protected:
  StreamingListTest() { options_.streaming_list = true; }

  void ExpectFallBack() {
    EXPECT_THAT(Asked(), ElementsAre("stream", "list limit 500", "watch from 5", "list from 5",
                                     "watch from 6"));
    EXPECT_EQ(restarts_[0], "not_streamed");
    EXPECT_THAT(std::string(reasons_[0].message()),
                HasSubstr("does not send the initial list as a stream; it is listed instead"));
    EXPECT_THAT(sleeper_.delays, IsEmpty());
    EXPECT_THAT(sink_.log(), Contains("end").Times(2));
  }
  // What comes after the stream of a server that cannot: falling back is for good.
  std::vector<Step> ThenListing(Step stream) const {
    return {std::move(stream), List("", "5"), Answer(410, ""), List("", "6")};
  }
};

TEST_F(StreamingListTest, IsTakenFromTheWatchThatGoesOn) {
  Run({[&](const Request&, Connection& connection) {
         clock_.Advance(absl::Seconds(2));
         connection.Send(kStreamHeader + Chunk(Added("a", "3") + Added("b", "4")));
         sink_.WaitForLog(3);
         EXPECT_THAT(sink_.up_to_date(), IsEmpty());
         connection.Send(Chunk(InitialEventsEnd("5")));
         sink_.WaitForUpToDate(2);
         clock_.Advance(absl::Seconds(20));
         connection.Send(Chunk(Added("c", "6") + BookmarkAt("8")));
         sink_.WaitForUpToDate(3);
         connection.Send(kStreamEnd);
       },
       Answer(410, ""), List("", "9")});
  EXPECT_THAT(sink_.log(),
              ElementsAre("begin", "added a", "added b", "end", "added c", "begin", "end"));
  EXPECT_THAT(Asked(), ElementsAre("stream", "watch from 8", "list from 8", "watch from 9"));
  EXPECT_THAT(events_, ElementsAre("ADDED", "ADDED", "BOOKMARK", "ADDED", "BOOKMARK"));
  EXPECT_THAT(restarts_, ElementsAre("ended", "expired"));
  // The streamed list, a silence after each piece, and the list.
  EXPECT_THAT(sink_.up_to_date(), ElementsAre(absl::ZeroDuration(), absl::Seconds(2),
                                              absl::Seconds(22), absl::Seconds(22)));
}

TEST_F(StreamingListTest, TheWatchThatGoesOnMayBeSilentForItsOwnLimit) {
  options_.streaming_list_silence = absl::Hours(1);
  options_.idle_limit = absl::Milliseconds(50);
  Run({SilentWatch(InitialEventsEnd("5"))});
  EXPECT_THAT(First(2, Asked()), ElementsAre("stream", "watch from 5"));
  EXPECT_THAT(First(1, restarts_), ElementsAre("ended"));
}

TEST_F(StreamingListTest, FallsBackToListWhenStreamingIsRefused) {
  Run(ThenListing(Answer(422, "")));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenStreamingIsABadRequest) {
  Run(ThenListing(Answer(400, "")));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenStreamingIsIgnored) {
  Run(ThenListing(SilentWatch(Added("a", "3") + BookmarkAt("4"))));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenNothingComes) {
  options_.streaming_list_silence = absl::Milliseconds(100);
  Run(ThenListing(SilentWatch("")));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenThereIsNoAnswer) {
  options_.streaming_list_silence = absl::Milliseconds(100);
  Run(ThenListing([](const Request&, Connection& connection) { connection.WaitForClientToGo(); }));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenTheEndDoesNotComeWithinAMinute) {
  Run(ThenListing([&](const Request&, Connection& connection) {
    connection.Send(kStreamHeader + Chunk(Added("a", "3")));
    sink_.WaitForLog(2);
    clock_.Advance(absl::Minutes(1));
    connection.Send(Chunk(Added("b", "3")));
    sink_.WaitForLog(3);
    clock_.Advance(absl::Milliseconds(1));
    connection.Send(Chunk(Added("c", "3")));
    connection.WaitForClientToGo();
  }));
  ExpectFallBack();
}

TEST_F(StreamingListTest, FallsBackToListWhenTheServerEndsItEarly) {
  Run(ThenListing(Watch(Added("a", "3"))));
  ExpectFallBack();
}

// The plain server waits for the end of a request that a TLS client never sends.
TEST_F(StreamingListTest, IsTriedAgainWhenTheServerWasNotReached) {
  options_.streaming_list_silence = absl::Milliseconds(50);
  scheme_ = "https://127.0.0.1:";
  sleeper_.before_waking = [this] { context_.Cancel(); };
  Run({});
  EXPECT_THAT(restarts_, ElementsAre("unreachable"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay));
}

TEST_F(StreamingListTest, IsTriedAgainAfterOtherErrors) {
  refused_requests_ = {1};
  Run({Answer(429, "", "Retry-After: 7\r\n"), LostWatch(Added("a", "3")), Answer(403, ""),
       Watch(ErrorEvent(410, "Expired")), Watch(InitialEventsEnd("5"))});
  EXPECT_THAT(Asked(),
              ElementsAre("stream", "stream", "stream", "stream", "stream", "watch from 5"));
  EXPECT_THAT(restarts_,
              ElementsAre("unreachable", "throttled", "unreachable", "failed", "expired", "ended"));
  EXPECT_THAT(sleeper_.delays, ElementsAre(kFirstDelay, absl::Seconds(7), absl::Milliseconds(2400),
                                           absl::Milliseconds(4800), absl::Milliseconds(9600)));
  EXPECT_THAT(sink_.log(),
              ElementsAre("begin", "begin", "begin", "added a", "begin", "begin", "begin", "end"));
}

// Cancellation.

// Ends the context once it sleeps.
class InterruptedSleeper final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration, base::Context& context) override {
    ++sleeps;
    std::thread canceller([&] { context.Cancel(); });
    absl::Status status = base::SystemSleeper().Sleep(absl::InfiniteDuration(), context);
    canceller.join();
    return status;
  }
  int sleeps = 0;
};

TEST_F(ReflectorTest, CancellationEndsABackoff) {
  InterruptedSleeper sleeper;
  options_.sleeper = &sleeper;
  Run({Answer(500, "")});
  EXPECT_EQ(sleeper.sleeps, 1);
  EXPECT_THAT(Asked(), ElementsAre("list limit 500"));
}

TEST_F(ReflectorTest, CancellationEndsTheWaitForAnAnswer) {
  Run({});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500"));
  EXPECT_THAT(restarts_, IsEmpty());
}

TEST_F(ReflectorTest, CancellationEndsAnOpenWatch) {
  Run({List("", "5"), [&](const Request&, Connection& connection) {
         connection.Send(kStreamHeader + Chunk(Added("a", "6")));
         sink_.WaitForLog(3);
         context_.Cancel();
         connection.WaitForClientToGo();
       }});
  EXPECT_THAT(Asked(), ElementsAre("list limit 500", "watch from 5"));
  EXPECT_THAT(restarts_, IsEmpty());
}

TEST_F(ReflectorTest, DoesNothingInAContextThatHasEnded) {
  context_.Cancel();
  Run({});
  EXPECT_THAT(requests_, IsEmpty());
  EXPECT_THAT(sink_.log(), IsEmpty());
}

}  // namespace
}  // namespace gantry::kubernetes
