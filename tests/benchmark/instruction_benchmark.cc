// SPDX-License-Identifier: Apache-2.0
//
// What instructions.sh counts, one thing a run, and the bytes that a cached Application takes:
//   instruction_benchmark NAME [TIMES]    does NAME so often; callgrind sees nothing else
//   instruction_benchmark memory          prints the bytes
// Names that end in "-floor" do the part of it that has to be.
#include <malloc.h>
#include <simdjson.h>
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/benchmark/realistic_application.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/server/health/health_fixture.h"
#include "tests/verdicts/program.h"

namespace gantry::benchmark {
namespace {

using nlohmann::json;
using testing::FakeKubernetes;

// What is between is counted. One thread alone.
class Counted {
 public:
  Counted() { CALLGRIND_TOGGLE_COLLECT; }
  ~Counted() { CALLGRIND_TOGGLE_COLLECT; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "instruction_benchmark: %s\n", what);
  std::exit(EXIT_FAILURE);
}

// --- promotions

// A Stage's promotions of one Application, each to another revision, and Argo CD's part in them.
class Promotions {
 public:
  Promotions() {
    kubernetes_.Put("applications", RealisticApplication("web"));
    Deliver();
  }

  void Next() {
    Begin();
    Finish();
  }

  // The first call, which starts the sync.
  void Begin() {
    revision_ = std::string(kRevision, 32) + std::to_string(10'000'000 + ++count_);
    request_.set_project("shop");
    request_.set_stage("prod");
    request_.set_promotion("measured-" + std::to_string(count_));
    request_.set_step("update");
    request_.set_uses("argocd-update");
    request_.clear_config();
    auto* app = (*request_.mutable_config()->mutable_fields())["apps"]
                    .mutable_list_value()
                    ->add_values()
                    ->mutable_struct_value()
                    ->mutable_fields();
    (*app)["name"].set_string_value("web");
    auto* source = (*app)["sources"]
                       .mutable_list_value()
                       ->add_values()
                       ->mutable_struct_value()
                       ->mutable_fields();
    (*source)["repoURL"].set_string_value("https://github.com/example/shop.git");
    (*source)["desiredRevision"].set_string_value(revision_);
    (*source)["updateTargetRevision"].set_bool_value(true);
    Run(v1::STEP_STATUS_RUNNING);
  }

  // A call in between: nothing has changed.
  void Poll() { Run(v1::STEP_STATUS_RUNNING); }

  void Finish() {
    json application = kubernetes_.Read("applications", "argocd", "web");
    application["status"]["operationState"] = {
        {"phase", "Succeeded"},
        {"operation", application["operation"]},
        {"startedAt", "2023-11-14T22:13:20Z"},
        {"finishedAt", "2023-11-14T22:13:20Z"},
        {"syncResult",
         {{"revisions", {revision_, kRevision}}, {"sources", application["spec"]["sources"]}}}};
    application.erase("operation");
    kubernetes_.Put("applications", application);
    Deliver();
    Run(v1::STEP_STATUS_SUCCEEDED);
  }

  void Deliver() {
    program_.ApplicationChanged(kubernetes_.Read("applications", "argocd", "web"));
    const json record = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod");
    if (!record.is_null()) program_.StageChanged(record);
    program_.UpToDate();
  }

  FakeKubernetes& kubernetes() { return kubernetes_; }
  // Whether calls of steps are counted.
  void set_counts(bool counts) { counts_ = counts; }

 private:
  void Run(v1::StepStatus expected) {
    absl::StatusOr<v1::RunStepResponse> response = absl::UnknownError("");
    {
      std::optional<Counted> counted;
      if (counts_) counted.emplace();
      response = program_.RunStep(request_);
    }
    const std::string ended =
        response.ok() ? response->ShortDebugString() : response.status().ToString();
    Require(response.ok() && response->status() == expected, ended.c_str());
  }

  FakeKubernetes kubernetes_;
  testing::FakeClock clock_;
  verdicts::Program program_{5, kubernetes_, clock_};
  v1::RunStepRequest request_;
  std::string revision_;
  int count_ = 0;
  bool counts_ = true;
};

void Promote(int times) {
  Promotions promotions;
  for (int i = 0; i < times; ++i) promotions.Next();
}

void PollRunning(int times) {
  Promotions promotions;
  promotions.set_counts(false);
  promotions.Begin();
  promotions.Deliver();
  promotions.set_counts(true);
  const std::size_t asked = promotions.kubernetes().calls().size();
  for (int i = 0; i < times; ++i) promotions.Poll();
  Require(promotions.kubernetes().calls().size() == asked,
          "a poll was not answered from the cache");
}

// --- events

// Lines of a watch on Applications, as the reflector hands them on.
class Lines {
 public:
  explicit Lines(int applications) {
    for (int i = 0; i < applications; ++i) {
      templates_.push_back(RealisticApplication("app-" + std::to_string(i)));
    }
  }

  // The next version of an Application; each is in another state of health than before.
  simdjson::padded_string Next(int application) {
    json& object = templates_[static_cast<std::size_t>(application)];
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    json& health = object["status"]["health"]["status"];
    health = health == "Healthy" ? "Degraded" : "Healthy";
    return simdjson::padded_string(object.dump());
  }
  int size() const { return static_cast<int>(templates_.size()); }

 private:
  std::vector<json> templates_;
  int version_ = 1000;
};

void PutLine(testing::WatchedCaches& watches, const simdjson::padded_string& line) {
  const auto put = watches.SinkOf("argocd").Put(kubernetes::EventType::kModified, line);
  Require(put.ok(), "a line was not understood");
}

// From a line of the watch to the published snapshot of a Stage of so many Applications.
class Events : public health::HealthFixture {
 public:
  void TestBody() override {}

  void Run(int applications, int times) {
    Lines lines(applications);
    std::vector<std::string> names;
    for (int i = 0; i < applications; ++i) {
      names.push_back("app-" + std::to_string(i));
      PutLine(watches_, lines.Next(i));
    }
    json stage = Stage("shop.prod", names);
    for (json& check : stage["spec"]["healthChecks"]) {
      check["desiredRevisions"] = {kRevision, kRevision};
    }
    PutStage(stage);
    Sync();
    for (int i = 0; i < times; ++i) {
      const simdjson::padded_string line = lines.Next(i % applications);
      std::vector<std::string> published;
      {
        Counted counted;
        PutLine(watches_, line);
        health_.EvaluateDue();
      }
      Require(Published() == std::vector<std::string>{"shop/prod"}, "nothing was published");
    }
  }
};

void HealthEvent10(int times) { Events().Run(10, times); }
void HealthEvent1000(int times) { Events().Run(1000, times); }

// Reading the line and keeping what it says, without a Stage that is concerned.
void ApplicationLine(int times) {
  testing::FakeClock clock;
  testing::WatchedCaches watches({"argocd"}, clock);
  Lines lines(1);
  PutLine(watches, lines.Next(0));
  for (int i = 0; i < times; ++i) {
    const simdjson::padded_string line = lines.Next(0);
    Counted counted;
    PutLine(watches, line);
  }
}

// Checking that the line is JSON.
void ApplicationLineFloor(int times) {
  Lines lines(1);
  simdjson::dom::parser parser;
  Require(parser.parse(lines.Next(0)).error() == simdjson::SUCCESS, "no JSON");
  for (int i = 0; i < times; ++i) {
    const simdjson::padded_string line = lines.Next(0);
    Counted counted;
    Require(parser.parse(line).error() == simdjson::SUCCESS, "no JSON");
  }
}

// --- memory

int Memory() {
  constexpr int kApplications = 20'000;
  testing::FakeClock clock;
  testing::WatchedCaches watches({"argocd"}, clock);
  const auto in_use = [] {
    malloc_trim(0);
    return mallinfo2().uordblks;
  };
  // Whatever is kept per process is there after the first.
  Lines first(1);
  PutLine(watches, first.Next(0));
  const std::size_t before = in_use();
  for (int i = 1; i <= kApplications; ++i) {
    json application = RealisticApplication("app-" + std::to_string(i));
    application["metadata"]["resourceVersion"] = std::to_string(2000 + i);
    PutLine(watches, simdjson::padded_string(application.dump()));
  }
  const std::size_t after = in_use();
  std::printf("%zu bytes per cached Application (%d of 2 sources, %zu bytes of JSON each)\n",
              (after - before) / kApplications, kApplications, first.Next(0).size());
  return EXIT_SUCCESS;
}

const std::map<std::string, std::function<void(int times)>> kBenchmarks = {
    {"promotion", Promote},
    {"poll", PollRunning},
    {"health-event-10", HealthEvent10},
    {"health-event-1000", HealthEvent1000},
    {"application-line", ApplicationLine},
    {"application-line-floor", ApplicationLineFloor},
};

}  // namespace
}  // namespace gantry::benchmark

int main(int argc, char** argv) {
  using gantry::benchmark::kBenchmarks;
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "memory") return gantry::benchmark::Memory();
  const auto found = kBenchmarks.find(name);
  const int times = argc > 2 ? std::atoi(argv[2]) : 10;
  if (found == kBenchmarks.end() || times < 1) {
    std::fprintf(stderr, "usage: instruction_benchmark memory | NAME [TIMES], of these names:\n");
    for (const auto& [known, run] : kBenchmarks) std::fprintf(stderr, "  %s\n", known.c_str());
    return 2;
  }
  found->second(times);
  return EXIT_SUCCESS;
}
