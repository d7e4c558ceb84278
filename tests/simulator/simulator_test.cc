// SPDX-License-Identifier: Apache-2.0
//
// What the simulator does beyond a real API server: faults on demand, and streamed lists as servers
// later than those of the conformance tests have them.
#include "tests/simulator/simulator.h"

#include <gmock/gmock.h>
#include <httplib.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "tests/simulator/list_options.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {
namespace {

using base::StrCat;
using nlohmann::json;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kApplications[] = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";

class SimulatorTest : public ::testing::Test {
 protected:
  SimulatorTest() { Start({}); }
  ~SimulatorTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void Start(SimulatorOptions options) {
    simulator_.reset();
    options.tls = tls_;
    auto started = Simulator::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    simulator_ = std::move(*started);
    if (folder_.empty()) {
      folder_ = (std::filesystem::temp_directory_path() / "gantry-sim-test.XXXXXX").string();
      ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    }
    ASSERT_TRUE(simulator_->WriteFiles(folder_).ok());
    std::ifstream tokens(folder_ + "/tokens.csv");
    for (std::string line; std::getline(tokens, line);) {
      if (line.find(",admin,") != std::string::npos) token_ = line.substr(0, line.find(','));
    }
  }

  httplib::Request Request(const std::string& method, const std::string& path) const {
    httplib::Request request;
    request.method = method;
    request.path = path;
    request.set_header("Authorization", "Bearer " + token_);
    return request;
  }
  std::unique_ptr<httplib::Client> NewClient() const {
    auto client = std::make_unique<httplib::Client>(simulator_->url());
    client->set_url_encode(false);
    client->set_keep_alive(true);
    return client;
  }
  // The status; 0 when there was no whole answer.
  int Send(const std::string& method, const std::string& path, const json& body = nullptr,
           const std::string& type = "application/json") {
    httplib::Request request = Request(method, path);
    if (!body.is_null()) {
      request.body = body.dump();
      request.set_header("Content-Type", type);
    }
    const auto client = NewClient();
    const httplib::Result result = client->send(request);
    answer_ = result ? result->body : "";
    retry_after_ = result ? result->get_header_value("Retry-After") : "";
    return result ? result->status : 0;
  }
  int Create(const std::string& name) {
    return Send("POST", kApplications,
                {{"apiVersion", "argoproj.io/v1alpha1"},
                 {"kind", "Application"},
                 {"metadata", {{"name", name}}}});
  }
  int Get(const std::string& name) { return Send("GET", StrCat(kApplications, "/", name)); }

  // The lines of a watch until `last` says so, or it ends; `rest_` is what came without an end.
  std::vector<std::string> Watch(const std::string& query,
                                 const std::function<bool(const std::string& line)>& last,
                                 const std::function<void()>& begun = nullptr) {
    std::vector<std::string> lines;
    rest_.clear();
    httplib::Request request = Request("GET", StrCat(kApplications, "?watch=1&", query));
    request.response_handler = [&](const httplib::Response&) {
      if (begun) begun();
      return true;
    };
    request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
      for (std::size_t i = 0; i < size; ++i) {
        if (data[i] != '\n') {
          rest_ += data[i];
          continue;
        }
        lines.push_back(std::exchange(rest_, ""));
        if (last(lines.back())) return false;
      }
      return true;
    };
    const auto client = NewClient();
    (void)client->send(request);
    return lines;
  }
  static bool Never(const std::string&) { return false; }
  static bool AtOnce(const std::string&) { return true; }

  // A connection on which a test says what it likes.
  class Wire {
   public:
    explicit Wire(const Simulator& simulator, bool connected = true)
        : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
      if (connected) Connect(simulator);
    }
    static sockaddr_in AddressOf(const Simulator& simulator) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const std::string url = simulator.url();
      address.sin_port =
          htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
      return address;
    }
    void Connect(const Simulator& simulator) const {
      const sockaddr_in address = AddressOf(simulator);
      EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    ~Wire() { close(fd_); }
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    bool Write(const std::string& text) const {
      return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
    }
    // What comes first.
    std::string ReadSome() const {
      char bytes[4096];
      const ssize_t count = recv(fd_, bytes, sizeof bytes, 0);
      return count > 0 ? std::string(bytes, static_cast<std::size_t>(count)) : "";
    }
    // Until the other side closes.
    std::string ReadAll() const {
      std::string all;
      char bytes[4096];
      ssize_t count = 0;
      while ((count = recv(fd_, bytes, sizeof bytes, 0)) > 0) {
        all.append(bytes, static_cast<std::size_t>(count));
      }
      return all;
    }

   private:
    const int fd_;
  };
  std::string Authorization() const { return StrCat("Authorization: Bearer ", token_, "\r\n"); }

  std::string Revision() const { return StrCat(simulator_->store().revision()); }

  bool tls_ = false;
  std::unique_ptr<Simulator> simulator_;
  std::string folder_;
  std::string token_;
  std::string answer_;
  std::string retry_after_;
  std::string rest_;
};

TEST_F(SimulatorTest, ErrorsComeForTheNextRequestsThatMatch) {
  ASSERT_EQ(Create("a"), 201);
  Fault fault;
  fault.verb = "get";
  fault.resource = "applications";
  fault.name = "a";
  fault.count = 2;
  fault.code = 429;
  fault.retry_after = 7;
  simulator_->faults().Add(fault);
  EXPECT_EQ(Get("b"), 404);
  EXPECT_EQ(Get("a"), 429);
  EXPECT_EQ(retry_after_, "7");
  EXPECT_EQ(json::parse(answer_).at("reason"), "TooManyRequests");
  EXPECT_EQ(Get("a"), 429);
  EXPECT_EQ(Get("a"), 200);
  simulator_->faults().Add(fault);
  simulator_->faults().Clear();
  EXPECT_EQ(Get("a"), 200);
}

TEST_F(SimulatorTest, AnAnswerIsDroppedBeforeOrAfterTheChange) {
  Fault fault;
  fault.verb = "create";
  fault.action = Fault::Action::kDropBefore;
  simulator_->faults().Add(fault);
  EXPECT_EQ(Create("a"), 0);
  EXPECT_EQ(Get("a"), 404);
  fault.action = Fault::Action::kDropAfter;
  simulator_->faults().Add(fault);
  EXPECT_EQ(Create("a"), 0);
  EXPECT_EQ(Get("a"), 200);
  fault.verb = "list";
  fault.action = Fault::Action::kHalf;
  simulator_->faults().Add(fault);
  EXPECT_EQ(Send("GET", kApplications), 0);
  EXPECT_EQ(Send("GET", kApplications), 200);
}

TEST_F(SimulatorTest, ADelayedRequestIsAnsweredAllTheSame) {
  Fault fault;
  fault.action = Fault::Action::kDelay;
  fault.delay = std::chrono::milliseconds(1);
  simulator_->faults().Add(fault);
  EXPECT_EQ(Create("a"), 201);
}

TEST_F(SimulatorTest, AWatchBreaksInTheMiddleOfALine) {
  const std::string from = Revision();
  ASSERT_EQ(Create("a"), 201);
  ASSERT_EQ(Create("b"), 201);
  Fault fault;
  fault.action = Fault::Action::kHalf;
  fault.verb = "watch";
  simulator_->faults().Add(fault);
  EXPECT_THAT(Watch("resourceVersion=" + from, Never), ::testing::IsEmpty());
  EXPECT_THAT(rest_, HasSubstr("{\"type\":\"ADDED\""));
  EXPECT_EQ(Watch("timeoutSeconds=60&resourceVersion=" + from,
                  [](const std::string& line) { return line.find("\"b\"") != std::string::npos; })
                .size(),
            2u);
}

TEST_F(SimulatorTest, NothingComesOfAFrozenWatchUntilItGoesOn) {
  simulator_->faults().Freeze("applications");
  bool unfrozen = false;
  const std::vector<std::string> lines = Watch(
      "timeoutSeconds=60&resourceVersion=" + Revision(),
      [&](const std::string&) {
        EXPECT_TRUE(unfrozen);
        return true;
      },
      [&] {
        EXPECT_EQ(Create("a"), 201);
        unfrozen = true;
        simulator_->faults().Unfreeze();
      });
  EXPECT_EQ(lines.size(), 1u);
}

TEST_F(SimulatorTest, OldVersionsAreGoneAfterACompaction) {
  const std::string from = Revision();
  ASSERT_EQ(Create("a"), 201);
  ASSERT_EQ(Create("b"), 201);
  ASSERT_EQ(Send("GET", StrCat(kApplications, "?limit=1")), 200);
  const std::string token = json::parse(answer_).at("metadata").at("continue");
  ASSERT_EQ(Create("c"), 201);
  simulator_->Compact();
  const std::vector<std::string> lines = Watch("resourceVersion=" + from, Never);
  ASSERT_EQ(lines.size(), 1u);
  const json event = json::parse(lines[0]);
  EXPECT_EQ(event.at("type"), "ERROR");
  EXPECT_EQ(event.at("object").at("code"), 410);
  EXPECT_EQ(event.at("object").at("reason"), "Expired");

  EXPECT_EQ(Send("GET", StrCat(kApplications, "?limit=1&continue=", token)), 410);
  const json status = json::parse(answer_);
  EXPECT_EQ(status.at("reason"), "Expired");
  const std::string inconsistent = status.at("metadata").at("continue");
  EXPECT_EQ(Send("GET", StrCat(kApplications, "?continue=", inconsistent)), 200);
  EXPECT_EQ(json::parse(answer_).at("items").size(), 2u);
}

TEST_F(SimulatorTest, AWatchThatFollowsIsNotBrokenByACompaction) {
  ASSERT_EQ(Create("a"), 201);
  const std::vector<std::string> lines =
      Watch("timeoutSeconds=60&resourceVersion=" + Revision(), AtOnce, [&] {
        EXPECT_EQ(Send("POST", "/api/v1/namespaces", {{"metadata", {{"name", "other"}}}}), 201);
        simulator_->Compact();
        EXPECT_EQ(Create("b"), 201);
      });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(json::parse(lines[0]).at("type"), "ADDED");
}

TEST_F(SimulatorTest, ARestartCutsWatchesAndForgetsTheHistory) {
  ASSERT_EQ(Create("a"), 201);
  const std::string from = Revision();
  const std::string url = simulator_->url();
  std::thread restart;
  Watch("timeoutSeconds=60&resourceVersion=" + from, Never,
        [&] { restart = std::thread([&] { EXPECT_TRUE(simulator_->Restart().ok()); }); });
  restart.join();
  EXPECT_EQ(simulator_->url(), url);
  EXPECT_EQ(Get("a"), 200);
  ASSERT_TRUE(simulator_->Restart({}, /*keep_objects=*/false).ok());
  EXPECT_EQ(Get("a"), 404);
  EXPECT_EQ(Create("a"), 201);
}

TEST_F(SimulatorTest, AStoppedServerRefusesConnections) {
  simulator_->Stop();
  EXPECT_EQ(Get("a"), 0);
  ASSERT_TRUE(simulator_->Resume().ok());
  EXPECT_EQ(Get("a"), 404);
}

TEST_F(SimulatorTest, AListIsStreamedAndItsEndIsMarked) {
  ASSERT_EQ(Create("a"), 201);
  const std::string query =
      "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const std::vector<std::string> lines = Watch(
      query, [](const std::string& line) { return line.find("BOOKMARK") != std::string::npos; });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(json::parse(lines[0]).at("type"), "ADDED");
  const json metadata = json::parse(lines[1]).at("object").at("metadata");
  EXPECT_EQ(metadata.at("annotations").at("k8s.io/initial-events-end"), "true");
  EXPECT_EQ(metadata.at("resourceVersion"), Revision());

  SimulatorOptions old;
  old.refuse_initial_events = true;
  Start(old);
  EXPECT_EQ(Send("GET", StrCat(kApplications, "?watch=1&", query)), 422);
}

TEST_F(SimulatorTest, BookmarksComeToThoseWhoAllowThem) {
  SimulatorOptions options;
  options.bookmark_interval = std::chrono::milliseconds(10);
  Start(options);
  const std::vector<std::string> lines =
      Watch("allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=" + Revision(), AtOnce);
  ASSERT_EQ(lines.size(), 1u);
  const json event = json::parse(lines[0]);
  EXPECT_EQ(event.at("type"), "BOOKMARK");
  EXPECT_EQ(event.at("object").at("metadata").at("resourceVersion"), Revision());
  EXPECT_EQ(event.at("object").at("kind"), "Application");
}

TEST_F(SimulatorTest, ManifestsAreLoadedWithTheirStatus) {
  const std::string manifest = R"(
apiVersion: gantry.dev/v1alpha1
kind: StageHealth
metadata: {name: s}
status: {state: Healthy}
---
apiVersion: v1
kind: List
items:
- apiVersion: argoproj.io/v1alpha1
  kind: Application
  metadata: {name: a, namespace: argocd}
  status: {health: {status: Healthy}}
)";
  ASSERT_TRUE(simulator_->Load(manifest).ok());
  ASSERT_TRUE(simulator_->Load(manifest).ok());
  EXPECT_EQ(Send("GET", "/apis/gantry.dev/v1alpha1/namespaces/gantry-system/stagehealths/s"), 200);
  EXPECT_EQ(json::parse(answer_).at("status").at("state"), "Healthy");
  EXPECT_EQ(Get("a"), 200);
  const absl::Status unknown = simulator_->Load("{apiVersion: v1, kind: Pod, metadata: {name: p}}");
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("Pod p"));
}

TEST_F(SimulatorTest, TheControlPathsDoTheSameByHand) {
  EXPECT_EQ(
      Send("POST", "/simulator/faults", {{"action", "error"}, {"verb", "create"}, {"code", 503}}),
      200);
  EXPECT_EQ(Create("a"), 503);
  EXPECT_EQ(Send("POST", "/simulator/faults", {{"action", "odd"}}), 400);
  EXPECT_THAT(answer_, HasSubstr("drop-before"));
  EXPECT_EQ(Send("POST", "/simulator/faults", {{"action", "error"}, {"odd", 1}}), 400);
  EXPECT_EQ(Send("POST", "/simulator/faults", {{"action", "error"}, {"count", -1}}), 400);
  EXPECT_EQ(Send("POST", "/simulator/faults", json::array()), 400);
  for (const char* what : {"freeze", "unfreeze", "compact", "cut"}) {
    EXPECT_EQ(Send("POST", StrCat("/simulator/", what), json::object()), 200) << what;
  }
  EXPECT_EQ(Send("POST", "/simulator/nonsense", json::object()), 400);
  EXPECT_EQ(Send("POST", "/simulator/restart", {{"downMilliseconds", "x"}}), 400);
  EXPECT_EQ(Send("GET", "/simulator/status"), 200);
  EXPECT_THAT(answer_, HasSubstr("keeps nothing"));
  token_ = "nobody's";
  EXPECT_EQ(Send("GET", "/simulator/status"), 403);
}

TEST_F(SimulatorTest, ARestartByHandNeedsNothingButTheRequest) {
  EXPECT_EQ(Send("POST", "/simulator/restart", {{"downMilliseconds", -1}}), 400);
  EXPECT_EQ(Send("POST", "/simulator/restart", {{"keepObjects", 1}}), 400);
  for (const char* body : {"", "{}", R"({"downMilliseconds": 0})", R"({"keepObjects": false})"}) {
    const Wire witness(*simulator_);
    httplib::Request request = Request("POST", "/simulator/restart");
    request.body = body;
    const auto client = NewClient();
    const httplib::Result result = client->send(request);
    ASSERT_TRUE(result) << body;
    EXPECT_EQ(result->status, 202) << body;
    EXPECT_EQ(witness.ReadAll(), "");
    while (Send("GET", "/simulator/status") != 200) {
    }
  }
}

TEST_F(SimulatorTest, WhatItBeganWithComesBackWithARestart) {
  SimulatorOptions options;
  options.manifests = {{"a.yaml", R"({apiVersion: argoproj.io/v1alpha1, kind: Application,
                                      metadata: {name: a, namespace: argocd}})"}};
  Start(options);
  ASSERT_EQ(Create("b"), 201);
  ASSERT_TRUE(simulator_->Restart({}, /*keep_objects=*/false).ok());
  EXPECT_EQ(Get("a"), 200);
  EXPECT_EQ(Get("b"), 404);
  options.manifests[0].text = "{kind: Odd}";
  const auto failed = Simulator::Start(options);
  EXPECT_THAT(std::string(failed.status().message()), ::testing::StartsWith("a.yaml: "));
}

TEST_F(SimulatorTest, ADelayedRequestDoesNothingOnceItIsCutOff) {
  Fault fault;
  fault.verb = "create";
  fault.action = Fault::Action::kDelay;
  fault.delay = std::chrono::hours(1);
  const std::function<void(std::unique_ptr<Wire>&)> ways[] = {
      [&](std::unique_ptr<Wire>&) { simulator_->CutConnections(); },
      [&](std::unique_ptr<Wire>& wire) { wire.reset(); },
      [&](std::unique_ptr<Wire>&) { EXPECT_TRUE(simulator_->Restart().ok()); }};
  for (const auto& way : ways) {
    simulator_->faults().Add(fault);
    auto wire = std::make_unique<Wire>(*simulator_);
    const std::string body =
        R"({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}})";
    ASSERT_TRUE(wire->Write(StrCat("POST ", kApplications, " HTTP/1.1\r\n", Authorization(),
                                   "Content-Length: ", body.size(), "\r\n\r\n", body)));
    while (simulator_->faults().size() > 0) std::this_thread::yield();
    way(wire);
    // Its handler has returned when this one alone is left.
    do {
      ASSERT_EQ(Send("GET", "/simulator/status"), 200);
    } while (json::parse(answer_).at("connections") != 1);
    EXPECT_EQ(Get("a"), 404);
  }
}

TEST_F(SimulatorTest, TheEndWaitsForNoDelayAndNoRestart) {
  Fault fault;
  fault.action = Fault::Action::kDelay;
  fault.delay = std::chrono::hours(1);
  simulator_->faults().Add(fault);
  {
    const Wire wire(*simulator_);
    ASSERT_TRUE(
        wire.Write(StrCat("GET ", kApplications, " HTTP/1.1\r\n", Authorization(), "\r\n")));
    while (simulator_->faults().size() > 0) std::this_thread::yield();
    simulator_.reset();
    EXPECT_EQ(wire.ReadAll(), "");
  }
  Start({});
  const Wire witness(*simulator_);
  EXPECT_EQ(Send("POST", "/simulator/restart", {{"downMilliseconds", 3600000}}), 202);
  EXPECT_EQ(witness.ReadAll(), "");
  simulator_.reset();
  // Whether the restart has begun or not.
  Start({});
  EXPECT_EQ(Send("POST", "/simulator/restart", {{"downMilliseconds", 3600000}}), 202);
  simulator_.reset();
}

// Counts the sleeps instead of sleeping.
class CountingSleeper final : public base::Sleeper {
 public:
  explicit CountingSleeper(std::function<void(int count)> each) : each_(std::move(each)) {}
  absl::Status Sleep(absl::Duration, base::Context& context) override {
    each_(++count_);
    return context.Check();
  }

 private:
  const std::function<void(int count)> each_;
  int count_ = 0;
};

TEST_F(SimulatorTest, ARestartTriesForItsPortUntilItGetsIt) {
  int taken = -1;
  CountingSleeper sleeper([&](int count) {
    if (count == 150) close(taken);
  });
  SimulatorOptions options;
  options.sleeper = &sleeper;
  Start(options);
  simulator_->Stop();
  taken = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(taken, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Wire::AddressOf(*simulator_);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  EXPECT_TRUE(simulator_->Restart().ok());
  EXPECT_EQ(Get("a"), 404);
}

TEST_F(SimulatorTest, ItAcceptsAgainAfterItHadNoDescriptors) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  Wire first(*simulator_, /*connected=*/false);
  Wire second(*simulator_, /*connected=*/false);
  std::vector<int> filling;
  rlimit few = before;
  few.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int fd = 0; (fd = dup(STDERR_FILENO)) >= 0;) filling.push_back(fd);
  const std::string ask = StrCat("GET /healthz HTTP/1.1\r\n", Authorization(), "\r\n");
  // A server that waits in accept() already has a descriptor for one of them, and none for both.
  first.Connect(*simulator_);
  EXPECT_TRUE(first.Write(ask));
  second.Connect(*simulator_);
  EXPECT_TRUE(second.Write(ask));
  for (const int fd : filling) close(fd);
  EXPECT_THAT(first.ReadSome(), ::testing::StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(second.ReadSome(), ::testing::StartsWith("HTTP/1.1 200 OK"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(SimulatorTest, ARequestThatStandsStillIsGivenUp) {
  SimulatorOptions options;
  options.idle_timeout = std::chrono::milliseconds(10);
  Start(options);
  const Wire idle(*simulator_);
  for (const char* begun : {"GET /hea", "POST /x HTTP/1.1\r\nContent-Le",
                            "POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"}) {
    const Wire wire(*simulator_);
    ASSERT_TRUE(wire.Write(begun));
    EXPECT_EQ(wire.ReadAll(), "") << begun;
  }
  // One on which nothing has begun stays.
  ASSERT_TRUE(idle.Write(StrCat("GET /healthz HTTP/1.1\r\n", Authorization(), "\r\n")));
  EXPECT_THAT(idle.ReadSome(), ::testing::StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(SimulatorTest, OrdersThatSayNothingUsefulAreRefused) {
  const struct {
    const char* what;
    json body;
    const char* message;
  } cases[] = {
      {"freeze", {{"resource", 1}}, "resource is not a string"},
      {"freeze", {{"resources", "applications"}}, "unknown field \"resources\""},
      {"faults", {{"action", "error"}, {"verb", "GET"}}, "verb is \"GET\", not one of get, list"},
      {"faults", {{"action", "error"}, {"count", 0}}, "count is 0"},
      {"restart", {{"keepObject", false}}, "unknown field \"keepObject\""},
  };
  for (const auto& tested : cases) {
    EXPECT_EQ(Send("POST", StrCat("/simulator/", tested.what), tested.body), 400) << tested.body;
    EXPECT_THAT(json::parse(answer_).at("error").get<std::string>(), HasSubstr(tested.message));
  }
}

TEST_F(SimulatorTest, AHeadHasNoBodyAndTheConnectionStaysUsable) {
  ASSERT_EQ(Create("a"), 201);
  Fault fault;
  fault.verb = "get";
  fault.name = "b";
  simulator_->faults().Add(fault);
  const Wire wire(*simulator_);
  ASSERT_TRUE(wire.Write(
      StrCat("HEAD ", kApplications, "/a HTTP/1.1\r\n", Authorization(), "\r\nHEAD ", kApplications,
             " HTTP/1.1\r\n", Authorization(), "\r\nHEAD ", kApplications, "?watch=1 HTTP/1.1\r\n",
             Authorization(), "\r\nHEAD ", kApplications, "/b HTTP/1.1\r\n", Authorization(),
             "\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n", Authorization(), "\r\n")));
  const std::string all = wire.ReadAll();
  EXPECT_THAT(all, ::testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(all, HasSubstr("HTTP/1.1 500 "));
  EXPECT_THAT(all, ::testing::EndsWith("Content-Length: 2\r\n\r\nok"));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("{")));
}

TEST_F(SimulatorTest, StrayBytesAreAnsweredLikeAnyOther) {
  for (const char* line : {"GET /simulator/\xff", "G\xffT /simulator/status", "\xfe\xff /\xff",
                           "GET /apis/\xff/v1/namespaces/\xff/x/\xff",
                           "GET /api/v1/namespaces/\xff", "POST /simulator/%ff"}) {
    const Wire wire(*simulator_);
    ASSERT_TRUE(wire.Write(StrCat(line, " HTTP/1.1\r\nConnection: close\r\n", Authorization(),
                                  "Content-Length: 0\r\n\r\n")));
    EXPECT_THAT(wire.ReadAll(), ::testing::StartsWith("HTTP/1.1 4")) << line;
  }
  EXPECT_EQ(Send("POST", "/simulator/faults", {{"action", "delay"}, {"code", 1.5}}), 400);
  httplib::Request request = Request("POST", "/simulator/faults");
  request.body = "{\"action\": \"\xff\", \"\xff\": 1}";
  const auto client = NewClient();
  const httplib::Result result = client->send(request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 400);
  EXPECT_EQ(Create("a"), 201);
}

TEST_F(SimulatorTest, BodiesThatNestTooDeepAreRefused) {
  const auto send = [&](const std::string& method, const std::string& path, const std::string& type,
                        const std::string& body) {
    httplib::Request request = Request(method, path);
    request.body = body;
    request.set_header("Content-Type", type);
    const auto client = NewClient();
    const httplib::Result result = client->send(request);
    return result ? result->status : 0;
  };
  const auto object = [](const char* name, const std::string& spec) {
    return StrCat(
        R"({"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":")", name,
        R"("},"spec":)", spec, "}");
  };
  const auto nested = [](std::size_t levels) {
    std::string text;
    for (std::size_t i = 0; i < levels; ++i) text += i % 2 == 0 ? "{\"a\":" : "[";
    text += "1";
    for (std::size_t i = levels; i > 0; --i) text += i % 2 == 1 ? "}" : "]";
    return text;
  };
  ASSERT_EQ(Create("a"), 201);
  const std::string json_type = "application/json";
  const std::string merge = "application/merge-patch+json";
  const std::string patch = "application/json-patch+json";
  const std::string a = StrCat(kApplications, "/a");
  const std::string deep = nested(100000);
  EXPECT_EQ(send("POST", kApplications, json_type, object("b", deep)), 400);
  EXPECT_EQ(send("PUT", a, json_type, object("a", deep)), 400);
  EXPECT_EQ(send("PATCH", a, merge, StrCat("{\"spec\":", deep, "}")), 400);
  EXPECT_EQ(send("PATCH", a, patch, StrCat(R"([{"op":"add","path":"/spec","value":)", deep, "}]")),
            400);
  EXPECT_EQ(send("DELETE", a, json_type, deep), 400);
  EXPECT_EQ(send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", json_type,
                 StrCat("{\"spec\":", deep, "}")),
            400);
  EXPECT_EQ(send("POST", "/simulator/faults", json_type, deep), 400);
  for (const std::string& yaml :
       {StrCat("a: ", deep), StrCat("a: it\"s\nb: ", std::string(100000, '[')),
        StrCat("a: it\"s\nb:\n ", std::string(100000, '-'), "\n"), [] {
          std::string dashes = "it\"s: 1\nb:\n  ";
          for (int i = 0; i < 100000; ++i) dashes += "- ";
          return dashes;
        }()}) {
    EXPECT_EQ(send("POST", kApplications, "application/yaml", yaml), 400) << yaml.substr(0, 20);
  }
  // As deep as allowed, all of it works.
  const std::string most = nested(kMaxDepth - 1);
  EXPECT_EQ(send("POST", kApplications, json_type, object("b", most)), 201);
  const std::string b = StrCat(kApplications, "/b");
  EXPECT_EQ(send("PATCH", b, merge, StrCat("{\"status\":", most, "}")), 200);
  EXPECT_EQ(send("PATCH", b, patch, R"([{"op":"copy","from":"/spec","path":"/operation"}])"), 200);
  EXPECT_EQ(send("PATCH", b, patch, R"([{"op":"copy","from":"/spec","path":"/status/x"}])"), 422);
  EXPECT_EQ(send("GET", b, json_type, ""), 200);
  EXPECT_EQ(send("DELETE", b, json_type, ""), 200);
  const absl::Status loaded = simulator_->Load(object("c", deep));
  EXPECT_THAT(std::string(loaded.message()), HasSubstr("nests deeper"));
}

TEST_F(SimulatorTest, APageOfTheFutureIsRefused) {
  ASSERT_EQ(Create("a"), 201);
  const std::string token =
      ContinueToken{simulator_->store().revision() + 1, "argocd", "a"}.Encode(true);
  EXPECT_EQ(Send("GET", StrCat(kApplications, "?limit=1&continue=", token)), 504);
  EXPECT_THAT(answer_, HasSubstr("Too large resource version"));
}

TEST_F(SimulatorTest, NonsenseOnTheWireEndsTheConnectionAlone) {
  for (const char* path : {"//", "/apis//", "/api/v1/namespaces//", "/apis/a/b/watch", "/%", "/api",
                           "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/%2e%2e"}) {
    EXPECT_THAT(Send("GET", path), AnyOf(200, 404)) << path;
  }
  EXPECT_EQ(Create("a"), 201);
}

TEST_F(SimulatorTest, BodiesOfOddTypesAreRefused) {
  const std::string definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const json odd[] = {"x",
                      {{"group", 1}},
                      {{"group", "g"}, {"names", "x"}},
                      {{"versions", {{{"served", "yes"}}}}},
                      {{"versions", "x"}},
                      json::object()};
  for (const json& spec : odd) {
    EXPECT_EQ(Send("POST", definitions, {{"metadata", {{"name", "a.b"}}}, {"spec", spec}}), 422)
        << spec;
  }
  EXPECT_EQ(Send("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                 {{"spec", {{"groups", "x"}, {"resourceAttributes", json::object()}}}}),
            201);
  const std::string ns = "/api/v1/namespaces/team-a";
  EXPECT_EQ(Send("PATCH", ns + "/status", {{"status", "x"}}, "application/merge-patch+json"), 200);
  EXPECT_EQ(Send("DELETE", ns), 400);
  EXPECT_EQ(Create("a"), 201);
}

class SecureSimulatorTest : public SimulatorTest {
 protected:
  SecureSimulatorTest() {
    tls_ = true;
    Start({});
  }
};

TEST_F(SecureSimulatorTest, AHandshakeThatStandsStillIsGivenUp) {
  SimulatorOptions options;
  options.idle_timeout = std::chrono::milliseconds(10);
  Start(options);
  EXPECT_EQ(Wire(*simulator_).ReadAll(), "");
}

TEST_F(SecureSimulatorTest, AClientCertificateIsAUser) {
  httplib::Client client(simulator_->url(), folder_ + "/gantry.crt", folder_ + "/gantry.key");
  client.set_ca_cert_path((folder_ + "/ca.crt").c_str());
  const httplib::Result listed = client.Get(kApplications);
  ASSERT_TRUE(listed) << to_string(listed.error());
  EXPECT_EQ(listed->status, 200);
  const httplib::Result refused = client.Delete((std::string(kApplications) + "/a").c_str());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 403);
  EXPECT_THAT(refused->body, HasSubstr("system:serviceaccount:gantry-system:gantry"));

  httplib::Client nobody(simulator_->url());
  nobody.set_ca_cert_path((folder_ + "/ca.crt").c_str());
  const httplib::Result anonymous = nobody.Get(kApplications);
  ASSERT_TRUE(anonymous);
  EXPECT_EQ(anonymous->status, 403);
  EXPECT_THAT(anonymous->body, HasSubstr("system:anonymous"));
}

}  // namespace
}  // namespace gantry::simulator
