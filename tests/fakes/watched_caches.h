// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_FAKES_WATCHED_CACHES_H_
#define GANTRY_TESTS_FAKES_WATCHED_CACHES_H_

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/json_text.h"

namespace gantry::testing {

// Caches with the sinks that fill them: a test plays the API server's watches. One thread.
class WatchedCaches {
 public:
  static constexpr absl::Duration kLimit = absl::Seconds(60);

  WatchedCaches(const std::vector<std::string>& namespaces, const base::Clock& clock)
      : caches(namespaces, kLimit, clock), clock_(clock) {
    for (const auto& [ns, source] : caches.application_sources()) {
      sinks_.emplace_back(ns, std::make_unique<cache::ApplicationSink>(
                                  caches.applications, caches.freshness, source, ns));
    }
    stage_sink_ = std::make_unique<cache::StageSink>(
        caches.stages, caches.freshness, caches.stage_source(),
        [this](std::string_view problem) { problems.emplace_back(problem); });
  }

  // The sink whose watch covers `ns`.
  cache::ApplicationSink& SinkOf(const std::string& ns) {
    for (auto& [watched, sink] : sinks_) {
      if (watched.empty() || watched == ns) return *sink;
    }
    ADD_FAILURE() << "namespace " << ns << " is not watched";
    return *sinks_.front().second;
  }
  cache::StageSink& stage_sink() { return *stage_sink_; }

  // Lists everything, as it is in the caches already, in all namespaces.
  void Sync() {
    for (auto& [ns, sink] : sinks_) sink->EndList("");
    stage_sink_->EndList("");
    UpToDate();
  }
  // All watches are heard of now.
  void UpToDate() {
    for (auto& [ns, sink] : sinks_) sink->UpToDate(clock_.SinceBoot());
    stage_sink_->UpToDate(clock_.SinceBoot());
  }

  void PutApplication(const nlohmann::json& object) {
    const auto put = SinkOf(object.at("metadata").at("namespace"))
                         .Put(kubernetes::EventType::kModified, Text(object).padded());
    EXPECT_TRUE(put.ok()) << put.status();
  }
  void DeleteApplication(const nlohmann::json& object) {
    const auto deleted =
        SinkOf(object.at("metadata").at("namespace")).Delete(Text(object).padded());
    EXPECT_TRUE(deleted.ok()) << deleted.status();
  }
  void PutStage(const nlohmann::json& object) {
    const auto put = stage_sink_->Put(kubernetes::EventType::kModified, Text(object).padded());
    EXPECT_TRUE(put.ok()) << put.status();
  }
  void DeleteStage(const nlohmann::json& object) {
    const auto deleted = stage_sink_->Delete(Text(object).padded());
    EXPECT_TRUE(deleted.ok()) << deleted.status();
  }

  // An object as it comes from a watch.
  static kubernetes::JsonText Text(const nlohmann::json& object) {
    return kubernetes::JsonText(object.dump());
  }

  cache::Caches caches;
  std::vector<std::string> problems;

 private:
  const base::Clock& clock_;
  std::vector<std::pair<std::string, std::unique_ptr<cache::ApplicationSink>>> sinks_;
  std::unique_ptr<cache::StageSink> stage_sink_;
};

}  // namespace gantry::testing

#endif  // GANTRY_TESTS_FAKES_WATCHED_CACHES_H_
