// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_PLAYED_APPLICATION_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_PLAYED_APPLICATION_H_

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/text.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/reconcile.h"

namespace gantry::argocd_standin {

inline constexpr char kOld[] = "1111111111111111111111111111111111111111";
inline constexpr char kNew[] = "2222222222222222222222222222222222222222";
inline constexpr char kRefresh[] = "argocd.argoproj.io/refresh";

// A fixture: one Application, the controller's memory of it, and the time; steps are stored as they
// come.
class PlayedApplication : public ::testing::Test {
 protected:
  using json = nlohmann::json;

  PlayedApplication() {
    settings_.sync_duration = absl::Seconds(3);
    settings_.refresh_delay = absl::Seconds(2);
    settings_.health_duration = absl::Seconds(10);
    settings_.resync = absl::ZeroDuration();
  }

  Step Next() const { return NextStep(app_, memory_, now_, settings_); }

  void Store(const Write& write) {
    writes_.push_back(write.body);
    if (write.kind == Write::Kind::kMergePatch) {
      app_.merge_patch(write.body);
    } else {
      app_ = app_.patch(write.body);
    }
    moments_.push_back(app_);
  }
  // Carries out one step.
  void Do(const Step& step) {
    memory_ = step.memory;
    if (step.writes.empty()) return;
    steps_.push_back(step.what);
    for (const Write& write : step.writes) Store(write);
  }
  // Carries out every step that is due now; returns what they were, and when to look again.
  absl::Duration Settle() {
    for (int i = 0; i < 20; ++i) {
      const Step step = Next();
      Do(step);
      if (step.writes.empty()) return step.look_again;
    }
    ADD_FAILURE() << "it does not settle: " << app_.dump(2);
    return absl::InfiniteDuration();
  }

  void Advance(absl::Duration duration) { now_ += duration; }
  absl::Duration SettleAfter(absl::Duration duration) {
    Advance(duration);
    return Settle();
  }

  void Order(const std::string& name, const std::string& value) {
    app_["metadata"]["annotations"]["standin.gantry.dev/" + name] = value;
  }
  void Countermand(const std::string& name) {
    app_["metadata"]["annotations"].erase("standin.gantry.dev/" + name);
  }
  // As whoever asks for an operation does: nothing is left of the last one.
  void Request(json operation = {{"sync", json::object()},
                                 {"info", {{{"name", "Reason"}, {"value", "test"}}}}}) {
    app_["operation"] = std::move(operation);
    app_.merge_patch({{"status", {{"operationState", nullptr}}}});
  }
  // A complete sync with all that follows.
  void Sync() {
    Request();
    Settle();
    SettleAfter(settings_.sync_duration);
    SettleAfter(settings_.refresh_delay);
    SettleAfter(settings_.health_duration);
    ASSERT_EQ(Sync("status"), "Synced");
    ASSERT_EQ(Health(), "Healthy");
    Forget();
  }
  void Forget() {
    steps_.clear();
    writes_.clear();
    moments_.clear();
  }

  const json& State() const { return At(app_, {"status", "operationState"}); }
  std::string Phase() const { return TextAt(State(), {"phase"}); }
  std::string Message() const { return TextAt(State(), {"message"}); }
  std::string Health() const { return TextAt(app_, {"status", "health", "status"}); }
  std::string Sync(const char* key) const { return TextAt(app_, {"status", "sync", key}); }
  std::string ReconciledAt() const { return TextAt(app_, {"status", "reconciledAt"}); }
  bool HasOperation() const { return app_.contains("operation"); }
  bool HasRefresh() const { return app_["metadata"]["annotations"].contains(kRefresh); }
  std::string Now() const { return base::UtcTime(now_); }

  Settings settings_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000) + absl::Milliseconds(700);
  Memory memory_;
  json app_ = {{"metadata",
                {{"name", "web"},
                 {"namespace", "argocd"},
                 {"resourceVersion", "7"},
                 {"annotations", json::object()}}},
               {"spec",
                {{"source", {{"repoURL", "r"}, {"path", "p"}, {"targetRevision", kOld}}},
                 {"destination", {{"server", "here"}, {"namespace", "shop"}}}}}};
  // What was done: in words, the bodies of the requests, and the Application after each of them.
  std::vector<std::string> steps_;
  std::vector<json> writes_;
  std::vector<json> moments_;
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_PLAYED_APPLICATION_H_
