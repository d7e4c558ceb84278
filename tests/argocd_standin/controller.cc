// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/controller.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/orders.h"

namespace gantry::argocd_standin {
namespace {

using argocd::ApplicationName;
using nlohmann::json;

// After a write that failed: doubles with each further one.
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(500);
constexpr absl::Duration kMaxBackoff = absl::Seconds(30);
constexpr int kMaxDoublings = 10;

}  // namespace

// Takes what a reflector brings. Applications that the selector leaves out count as not there.
class Controller::Sink final : public kubernetes::ObjectSink {
 public:
  Sink(Controller& controller, std::string ns) : controller_(controller), ns_(std::move(ns)) {}

  void BeginList() override { list_ = controller_.applications_.BeginList(); }

  absl::StatusOr<std::string> Put(kubernetes::EventType /*type*/,
                                  simdjson::padded_string_view json) override {
    auto application = Read(json);
    if (!application.ok()) return application.status();
    std::string resource_version = (*application)->resource_version;
    if (controller_.selector_.Matches((*application)->object)) {
      controller_.applications_.Put(*std::move(application), list_);
    } else {
      controller_.applications_.Delete((*application)->name, (*application)->uid);
    }
    return resource_version;
  }

  absl::StatusOr<std::string> Delete(simdjson::padded_string_view json) override {
    const auto application = Read(json);
    if (!application.ok()) return application.status();
    controller_.applications_.Delete((*application)->name, (*application)->uid);
    return (*application)->resource_version;
  }

  void EndList(std::string_view resource_version) override {
    controller_.applications_.EndList(list_, resource_version, [&](const ApplicationName& name) {
      return ns_.empty() || name.ns == ns_;
    });
  }

  void UpToDate(absl::Duration /*time*/) override {}

 private:
  Controller& controller_;
  const std::string ns_;
  std::uint64_t list_ = 0;
};

Controller::Controller(const Dependencies& dependencies, const Settings& settings,
                       LabelSelector selector)
    : client_(dependencies.client),
      clock_(dependencies.clock),
      log_(dependencies.log),
      settings_(settings),
      selector_(std::move(selector)),
      queue_(dependencies.clock),
      applications_(dependencies.clock) {
  applications_.SetListener([this](const ApplicationName& name) { queue_.Add(name); });
}

std::unique_ptr<kubernetes::ObjectSink> Controller::NewSink(const std::string& ns) {
  return std::make_unique<Sink>(*this, ns);
}

absl::StatusOr<std::shared_ptr<Controller::StoredApplication>> Controller::Read(
    std::string_view text) {
  auto application = std::make_shared<StoredApplication>();
  application->object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const json& metadata = At(application->object, {"metadata"});
  application->name = {TextAt(metadata, {"namespace"}), TextAt(metadata, {"name"})};
  application->uid = TextAt(metadata, {"uid"});
  application->resource_version = TextAt(metadata, {"resourceVersion"});
  if (application->name.name.empty() || application->resource_version.empty()) {
    return absl::InvalidArgumentError(
        "an Application without metadata.name or metadata.resourceVersion was received");
  }
  return application;
}

void Controller::Work(base::Context& context) {
  while (const auto name = queue_.Next()) {
    Process(*name, context);
    queue_.Done(*name);
  }
}

absl::Duration Controller::WorkOff(base::Context& context) {
  while (const auto name = queue_.TryNext()) {
    Process(*name, context);
    queue_.Done(*name);
  }
  return queue_.TimeLeft();
}

Controller::Notes Controller::NotesOf(const StoredApplication& application) {
  base::MutexLock lock(mutex_);
  const auto found = notes_.find(application.name);
  if (found != notes_.end() && found->second.uid == application.uid) return found->second;
  Notes notes;
  notes.uid = application.uid;
  return notes;
}

void Controller::Keep(const ApplicationName& name, Notes notes) {
  base::MutexLock lock(mutex_);
  notes_[name] = std::move(notes);
}

void Controller::LogProblems(const StoredApplication& application, Notes& notes) const {
  std::vector<std::string> problems = OrdersOf(application.object).problems;
  if (problems == notes.problems) return;
  for (const std::string& problem : problems) {
    log_.Warning(problem, {{"application", argocd::ToString(application.name)}});
  }
  notes.problems = std::move(problems);
}

void Controller::Process(const ApplicationName& name, base::Context& context) {
  Applications::Ptr application = applications_.Find(name);
  if (application == nullptr) {
    base::MutexLock lock(mutex_);
    notes_.erase(name);
    return;
  }
  Notes notes = NotesOf(*application);
  if (clock_.Now() < notes.not_before) return queue_.Add(name, notes.not_before - clock_.Now());
  LogProblems(*application, notes);
  Step step = NextStep(application->object, notes.memory, clock_.Now(), settings_);
  // After a write that failed it is not known whether it was carried out, nor what came after it.
  if (step.on_live_read || (!step.writes.empty() && notes.failures > 0)) {
    const auto live = client_.Get(kApplications, name.ns, name.name, context);
    auto read = live.ok() ? Read(live->text()) : live.status();
    if (!read.ok()) {
      // One that is gone is heard of by the watch.
      log_.Warning("an Application could not be read",
                   {{"application", argocd::ToString(name)},
                    {"error", base::ToStd(read.status().message())}});
      queue_.Add(name, kFirstBackoff);
      return Keep(name, std::move(notes));
    }
    application = *std::move(read);
    applications_.PutOwnWrite(application, /*creates=*/false);
    if (notes.uid != application->uid) notes = NotesOf(*application);
    step = NextStep(application->object, notes.memory, clock_.Now(), settings_);
  }
  if (!step.writes.empty()) return CarryOut(*application, step, std::move(notes), context);
  notes.memory = std::move(step.memory);
  Keep(name, std::move(notes));
  if (step.look_again < absl::InfiniteDuration()) queue_.Add(name, step.look_again);
}

void Controller::CarryOut(const StoredApplication& application, const Step& step, Notes notes,
                          base::Context& context) {
  const ApplicationName& name = application.name;
  const std::string named = argocd::ToString(name);
  std::string version = application.resource_version;
  absl::Status written;
  for (const Write& write : step.writes) {
    const std::string body = write.body.dump(-1, ' ', false, json::error_handler_t::replace);
    const auto stored =
        write.kind == Write::Kind::kMergePatch
            ? client_.MergePatch(kApplications, name.ns, name.name, "", body, context)
            : client_.JsonPatch(kApplications, name.ns, name.name, body, context);
    written = stored.status();
    if (!written.ok()) break;
    auto read = Read(stored->text());
    if (!read.ok()) continue;
    version = (*read)->resource_version;
    applications_.PutOwnWrite(*std::move(read), /*creates=*/false);
  }
  if (written.ok()) {
    log_.Info(step.what, {{"application", named}});
    notes.memory = step.memory;
    notes.failures = 0;
    Keep(name, std::move(notes));
    // Writes of which nothing was stored, such as a field that the API server does not know, must
    // not be repeated as fast as it can.
    const bool stored = version != application.resource_version;
    return queue_.Add(name, stored ? absl::ZeroDuration() : kFirstBackoff);
  }
  const kubernetes::ErrorKind kind = kubernetes::KindOf(written);
  if (kind == kubernetes::ErrorKind::kConflict) {
    log_.Debug("somebody else wrote the Application", {{"application", named}});
  } else {
    log_.Warning(
        "an Application could not be written",
        {{"application", named}, {"step", step.what}, {"error", base::ToStd(written.message())}});
  }
  // What others change comes by the watch, and is looked at at once.
  const absl::Duration backoff =
      std::min(kFirstBackoff * (1 << std::min(notes.failures, kMaxDoublings)), kMaxBackoff);
  ++notes.failures;
  if (version != application.resource_version) notes.not_before = clock_.Now() + backoff;
  Keep(name, std::move(notes));
  queue_.Add(name, backoff);
}

}  // namespace gantry::argocd_standin
