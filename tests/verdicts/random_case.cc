// SPDX-License-Identifier: Apache-2.0
#include "tests/verdicts/random_case.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/strings.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/verdicts/applications.h"
#include "tests/verdicts/choice.h"
#include "tests/verdicts/program.h"
#include "tests/verdicts/requests.h"

namespace gantry::verdicts {
namespace {

using kubernetes::ErrorKind;
using nlohmann::json;
using testing::FakeKubernetes;
using Names = std::pair<std::string, std::string>;  // namespace, name

constexpr const char* kRecords = "gantry-system";

json ToJson(const google::protobuf::Message& message) {
  std::string text;
  const auto written = google::protobuf::util::MessageToJsonString(message, &text);
  return written.ok() ? json::parse(text) : json(std::string("not JSON"));
}

// Of an object, without what counts its writes: their number may differ from version to version.
std::string Digest(json value) {
  if (value.is_object() && value.contains("metadata")) {
    value["metadata"].erase("resourceVersion");
    value["metadata"].erase("generation");
  }
  std::uint64_t hash = 1469598103934665603u;
  for (const char c : value.dump()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return base::StrCat(hash);
}

// What goes wrong in one call: a write to one object, `times` times.
struct Fault {
  enum class Kind {
    kConflict,        // 409, somebody has changed the object
    kSuperseded,      // 409 on the record, a newer promotion has taken it
    kRefused,         // 422
    kRefusedChanged,  // 422, because somebody has changed the object
    kForbidden,       // 403
    kThrottled,       // 429
    kServerError,     // 500, and nothing was written
    kNoResponse,      // it was written, and nobody knows
    kNoConnection,    // nothing was written, and nobody knows
  };
  Kind kind = Kind::kConflict;
  bool record = false;  // of the Stage's record, else of an Application
  std::string name;
  int times = 0;
};

std::string WordOf(const Fault& fault) {
  static const std::vector<std::string> kWords = {
      "conflict",  "superseded",   "refused",     "refused, changed", "forbidden",
      "throttled", "server error", "no response", "no connection"};
  return base::StrCat(fault.record ? "record" : fault.name, ": ",
                      kWords[static_cast<std::size_t>(fault.kind)], ", ", fault.times, " times");
}

class RandomCase {
 public:
  RandomCase(std::uint64_t seed, std::uint64_t number, const CaseOptions& options)
      : options_(options),
        seed_(Choice(seed).Next() ^ Choice(number * 2 + 1).Next()),
        choice_(seed_),
        stage_(choice_.Percent(92) ? "prod" : "test"),
        program_(choice_.Of(std::vector<int>{5, 5, 5, 5, 2, 2, 1, 1}), kubernetes_, clock_) {
    result_.verdicts["case"] = number;
    kubernetes_.before = [this](const FakeKubernetes::Call& call) { return Before(call); };
    kubernetes_.after = [this](const FakeKubernetes::Call& call) { return After(call); };
  }

  CaseResult Run() {
    clock_.Advance(absl::Milliseconds(choice_.Percent(20) ? 400 : 0));
    MakeApplications();
    if (choice_.Percent(12)) MakeRecord();
    for (int i = 0, steps = choice_.Between(1, 3); i < steps; ++i) {
      steps_.push_back(MakeStep(choice_, Applications()));
      // Steps of one promotion, more often than not.
      if (i > 0 && choice_.Percent(50))
        steps_[static_cast<std::size_t>(i)].promotion = steps_[0].promotion;
    }
    watched_ = choice_.Percent(85);
    if (watched_) DeliverAll();
    json& calls = result_.verdicts["calls"] = json::array();
    std::size_t step = 0;
    const int count = choice_.Between(1, 9);
    for (int i = 0; i < count; ++i) {
      // What is chosen later does not depend on how much was chosen before.
      choice_ = Choice(seed_ + static_cast<std::uint64_t>(i));
      underfoot_ = Choice(choice_.Next());
      if (choice_.Percent(35))
        step = static_cast<std::size_t>(choice_.Below(static_cast<int>(steps_.size())));
      calls.push_back(CallStep(steps_[step]));
      if (i + 1 < count) Between();
    }
    Finish();
    return std::move(result_);
  }

 private:
  // --- the world

  void MakeApplications() {
    static const std::vector<std::string> kNames = {"web", "api", "db", "jobs", "docs", "cache"};
    const int count = choice_.Percent(40) ? 1 : choice_.Between(2, 6);
    for (int i = 0; i < count; ++i) {
      const std::string ns = choice_.Percent(90) ? "argocd" : "team-a";
      const std::string& name = kNames[static_cast<std::size_t>(i)];
      names_.emplace_back(ns, name);
      PutApplication(MakeApplication(choice_, ns, name, clock_.Now()));
    }
  }

  std::vector<json> Applications() {
    std::vector<json> applications;
    for (const Names& name : names_) {
      const json object = kubernetes_.Read("applications", name.first, name.second);
      applications.push_back(object.is_null() ? first_[name] : object);
    }
    return applications;
  }

  void PutApplication(const json& object) {
    const Names name(object["metadata"]["namespace"], object["metadata"]["name"]);
    first_.emplace(name, object);
    kubernetes_.Put("applications", object);
    NoteVersion("applications", name.first, name.second);
  }

  std::string RecordName() const { return "shop." + stage_; }
  json Record() { return kubernetes_.Read("stagehealths", kRecords, RecordName()); }
  void PutRecord(const json& object) {
    kubernetes_.Put("stagehealths", object);
    NoteVersion("stagehealths", kRecords, RecordName());
    // The numbers of attempts may begin again.
    made_.clear();
  }

  void NoteVersion(const std::string& plural, const std::string& ns, const std::string& name) {
    const json object = kubernetes_.Read(plural, ns, name);
    if (object.is_null()) return;
    const std::string version = object["metadata"]["resourceVersion"];
    if (versions_.contains(version)) return;
    versions_[version] = base::StrCat(name, "@", ++version_counts_[plural + "/" + ns + "/" + name]);
  }

  // A record that no step of this case has left.
  void MakeRecord() {
    json spec = {{"project", "shop"}, {"stage", stage_}};
    if (choice_.Percent(85)) {
      spec["promotion"] = {{"name", choice_.Of({"p0", "p1", "p2"})},
                           {"phase", choice_.Of({"Running", "Succeeded", "Failed", "Errored"})},
                           {"message", choice_.Of({"", "by hand"})},
                           {"updateTime", Rfc3339(clock_.Now() - absl::Hours(1))},
                           {"reported", choice_.Percent(40)}};
    }
    if (choice_.Percent(30)) {
      spec["indicators"] = {
          {{"name", "tests"},
           {"state", choice_.Of({"Healthy", "Unhealthy", "Progressing"})},
           {"message", "smoke"},
           {"reportTime", Rfc3339(clock_.Now() - absl::Minutes(5))},
           {"expireTime", Rfc3339(clock_.Now() + absl::Minutes(choice_.Between(-1, 3)))}}};
    }
    if (choice_.Percent(40)) {
      json& checks = spec["healthChecks"] = json::array();
      for (const Names& name : names_) {
        checks.push_back({{"namespace", name.first},
                          {"name", name.second},
                          {"promotion", "p0"},
                          {"desiredRevisions", {choice_.Of({"v1", "v2", ""})}}});
      }
    }
    if (choice_.Percent(5)) spec["promotion"]["phase"] = "Nonsense";
    json object = {{"apiVersion", "gantry.dev/v1alpha1"},
                   {"kind", "StageHealth"},
                   {"metadata", {{"name", RecordName()}, {"namespace", kRecords}}},
                   {"spec", std::move(spec)}};
    if (choice_.Percent(40)) {
      object["status"] = {{"state", choice_.Of({"Healthy", "Unhealthy", "Unknown"})},
                          {"transitionTime", Rfc3339(clock_.Now() - absl::Minutes(30))}};
    }
    PutRecord(object);
  }

  // Somebody, or another replica, changes what is on record.
  void EditRecord() {
    json object = Record();
    if (object.is_null() || !object["spec"].is_object()) return;
    json& spec = object["spec"];
    json step;
    if (spec.contains("steps") && !spec["steps"].empty()) step = spec["steps"][0];
    const bool has_application = step.is_object() && !step["applications"].empty();
    switch (choice_.Below(9)) {
      case 0:
        spec["promotion"] = {{"name", choice_.Of({"p1", "p2", "p4"})}, {"phase", "Running"}};
        break;
      case 1:
        spec["supersededPromotions"].push_back(
            Program::HashOfPromotion(choice_.Of({"p0", "p1", "p2", "p3"})));
        break;
      case 2:
        if (!has_application) return;
        step["applications"][0]["attempt"] = choice_.Of(std::vector<int>{0, 1, 2, 4, 5, 6});
        break;
      case 3:
        if (!has_application) return;
        step["applications"][0]["done"] = choice_.Percent(50);
        break;
      case 4:
        if (!has_application) return;
        step["applications"][0]["earlierAttempts"] = choice_.Between(0, 2);
        step["applications"][0]["unmadeAttempts"] = choice_.Between(0, 2);
        break;
      case 5:
        if (!step.is_object()) return;
        step["status"] = choice_.Of({"Succeeded", "Failed", "Running"});
        step["reason"] = choice_.Of({"", "OperationFailed", "SomethingNew"});
        step["message"] = "by hand";
        break;
      case 6:
        if (!step.is_object()) return;
        step["configHash"] = "0123456789abcdef0123456789abcdef";
        break;
      case 7: {
        if (!step.is_object()) return;
        json ended = step;
        ended["promotion"] = Program::HashOfPromotion(choice_.Of({"p1", "p2", "p3"}));
        ended["status"] = "Succeeded";
        spec["endedWaits"].push_back(std::move(ended));
        break;
      }
      default:
        kubernetes_.Remove("stagehealths", kRecords, RecordName());
        removed_record_ = object;
        made_.clear();
        return;
    }
    if (step.is_object()) spec["steps"][0] = std::move(step);
    PutRecord(object);
  }

  void Between() {
    current_ = false;
    for (const Names& name : names_) {
      if (choice_.Percent(15)) continue;
      json object = kubernetes_.Read("applications", name.first, name.second);
      if (object.is_null()) {
        if (choice_.Percent(20)) PutApplication(first_[name]);
        continue;
      }
      if (choice_.Percent(1)) {
        kubernetes_.Remove("applications", name.first, name.second);
        continue;
      }
      const json before = object;
      Evolve(choice_, desired_[name], clock_.Now(), object);
      if (object != before) PutApplication(object);
    }
    if (choice_.Percent(9)) EditRecord();
    static const std::vector<int> kSeconds = {0, 0, 1, 3, 5, 10, 11, 21, 45, 300};
    clock_.Advance(absl::Seconds(choice_.Of(kSeconds)));
    if (watched_ && choice_.Percent(88)) DeliverAll();
  }

  // The watches bring all there is.
  void DeliverAll() {
    for (const Names& name : names_) {
      const json object = kubernetes_.Read("applications", name.first, name.second);
      json& delivered = delivered_[name];
      if (object.is_null()) {
        if (!delivered.is_null()) program_.ApplicationDeleted(delivered);
      } else if (object != delivered) {
        program_.ApplicationChanged(object);
      }
      delivered = object;
    }
    if (const json record = Record(); !record.is_null()) program_.StageChanged(record);
    if (!removed_record_.is_null()) {
      program_.StageDeleted(std::exchange(removed_record_, json()));
    }
    program_.UpToDate();
    current_ = true;
  }

  // --- calls

  v1::RunStepRequest RequestOf(const Step& step) {
    v1::RunStepRequest request;
    request.set_project("shop");
    request.set_stage(stage_);
    request.set_promotion(step.promotion);
    request.set_step(step.name);
    request.set_uses(step.uses);
    request.set_actor(step.actor);
    const auto read =
        google::protobuf::util::JsonStringToMessage(step.config.dump(), request.mutable_config());
    if (!read.ok()) result_.violations.push_back("a configuration is no Struct");
    return request;
  }

  json CallStep(const Step& step) {
    v1::RunStepRequest request = RequestOf(step);
    const auto output = outputs_.find(step.promotion + "/" + step.name);
    if (output != outputs_.end() && choice_.Percent(75)) {
      *request.mutable_previous_output() = output->second;
    }
    if (choice_.Percent(5)) RandomPreviousOutput(request);
    request.set_dry_run(choice_.Percent(7));
    fault_ = RandomFault();

    json told = {{"promotion", step.promotion}, {"step", step.name}, {"uses", step.uses}};
    if (request.dry_run()) told["dryRun"] = true;
    if (fault_) told["fault"] = WordOf(*fault_);
    if (!current_) told["watchesLag"] = true;
    if (options_.whole) told["request"] = ToJson(request);

    const bool superseded = step.uses == "argocd-update" && IsSuperseded(step.promotion);
    std::optional<v1::RunStepResponse> dry;
    const std::map<Names, json> before = Snapshot();
    if (options_.check) dry = DryRunOf(request);

    const bool had_fault = fault_.has_value();
    const std::size_t calls_before = kubernetes_.calls().size();
    writes_.clear();
    const absl::StatusOr<v1::RunStepResponse> response = program_.RunStep(request);
    const bool from_cache = kubernetes_.calls().size() == calls_before;
    fault_.reset();

    if (response.ok()) {
      told["response"] = Canonical(*response);
      outputs_[step.promotion + "/" + step.name] = response->output();
      if (step.uses == "argocd-update") {
        for (const v1::ApplicationOutcome& outcome : response->applications()) {
          if (outcome.desired_revisions().empty()) continue;
          desired_[{outcome.namespace_(), outcome.name()}] = json(std::vector<std::string>(
              outcome.desired_revisions().begin(), outcome.desired_revisions().end()));
        }
      }
    } else {
      told["error"] = response.status().ToString();
    }
    told["writes"] = Writes();
    std::vector<std::string> events = program_.TakeEvents();
    std::sort(events.begin(), events.end());
    told["events"] = std::move(events);
    const std::optional<v1::StageHealth> health = program_.StageHealth("shop", stage_);
    json now = health ? ToJson(*health) : json();
    if (now != health_) told["health"] = now;
    health_ = std::move(now);

    if (options_.check) {
      if (superseded && !writes_.empty()) Violated("a superseded promotion wrote", told);
      if (response.ok()) {
        CheckResponse(request, *response, dry, before, had_fault, from_cache, told);
      }
    }
    return told;
  }

  void RandomPreviousOutput(v1::RunStepRequest& request) {
    json health = json::object();
    for (const Names& name : names_) {
      health[name.first + "/" + name.second] = RandomHealth(choice_);
    }
    json output = {{"healthStatus", std::move(health)}};
    if (choice_.Percent(20))
      output["healthStatus"] = choice_.Percent(50) ? json(3) : json::object();
    const auto read = google::protobuf::util::JsonStringToMessage(
        output.dump(), request.mutable_previous_output());
    if (!read.ok()) result_.violations.push_back("an output is no Struct");
  }

  std::optional<Fault> RandomFault() {
    if (!choice_.Percent(14)) return std::nullopt;
    Fault fault;
    fault.record = choice_.Percent(30);
    fault.name = choice_.Of(names_).second;
    fault.times = choice_.Percent(75) ? 1 : choice_.Between(2, 6);
    using Kind = Fault::Kind;
    if (fault.record) {
      fault.kind = choice_.Of(std::vector<Kind>{
          Kind::kConflict, Kind::kConflict, Kind::kSuperseded, Kind::kForbidden, Kind::kThrottled,
          Kind::kServerError, Kind::kNoResponse, Kind::kNoConnection});
    } else {
      fault.kind = choice_.Of(std::vector<Kind>{
          Kind::kConflict, Kind::kConflict, Kind::kRefused, Kind::kRefusedChanged, Kind::kForbidden,
          Kind::kThrottled, Kind::kServerError, Kind::kNoResponse, Kind::kNoConnection});
    }
    return fault;
  }

  static bool IsRead(const FakeKubernetes::Call& call) {
    return call.verb == "get" || call.verb == "list";
  }
  bool Strikes(const FakeKubernetes::Call& call) const {
    return fault_ && fault_->times > 0 && !IsRead(call) &&
           (fault_->record ? call.plural == "stagehealths"
                           : call.plural == "applications" && call.name == fault_->name);
  }

  // The words of these errors are ours, so that they do not tell how the program writes.
  static absl::Status Error(ErrorKind kind, int http_status, const FakeKubernetes::Call& call,
                            std::string_view what, int retry_after = 0) {
    return kubernetes::MakeError(
        {.kind = kind, .http_status = http_status, .retry_after = absl::Seconds(retry_after)},
        base::StrCat("write of ", call.name, ": ", what));
  }

  absl::Status Before(const FakeKubernetes::Call& call) {
    if (!Strikes(call) || fault_->kind == Fault::Kind::kNoResponse) return absl::OkStatus();
    --fault_->times;
    switch (fault_->kind) {
      case Fault::Kind::kConflict:
      case Fault::Kind::kRefusedChanged: {
        ChangeUnderfoot(call);
        if (fault_->kind == Fault::Kind::kRefusedChanged) {
          return Error(ErrorKind::kRefused, 422, call, "the path is not there");
        }
        return Error(call.verb == "create" ? ErrorKind::kAlreadyExists : ErrorKind::kConflict, 409,
                     call, "the object has been modified");
      }
      case Fault::Kind::kSuperseded: {
        json record = Record();
        if (record.is_null()) {
          record = {{"metadata", {{"name", RecordName()}, {"namespace", kRecords}}},
                    {"spec", {{"project", "shop"}, {"stage", stage_}}}};
        }
        // As the program does it when p9 begins: the promotion before it and its steps go.
        json& spec = record["spec"];
        json superseded = spec.value("supersededPromotions", json::array());
        if (spec.contains("promotion")) {
          superseded.push_back(Program::HashOfPromotion(spec["promotion"].value("name", "")));
        }
        spec["supersededPromotions"] = std::move(superseded);
        spec["promotion"] = {{"name", "p9"}, {"phase", "Running"}};
        spec["steps"] = json::array();
        PutRecord(record);
        fault_->times = 0;
        return Error(call.verb == "create" ? ErrorKind::kAlreadyExists : ErrorKind::kConflict, 409,
                     call, "the object has been modified");
      }
      case Fault::Kind::kRefused:
        return Error(ErrorKind::kRefused, 422, call, "an admission webhook says no");
      case Fault::Kind::kForbidden:
        return Error(ErrorKind::kForbidden, 403, call, "forbidden");
      case Fault::Kind::kThrottled:
        return Error(ErrorKind::kThrottled, 429, call, "too many requests", 5);
      case Fault::Kind::kServerError:
        return Error(ErrorKind::kServerError, 500, call, "etcd has no leader");
      default:
        return Error(ErrorKind::kUnreachable, 0, call, "connection lost");
    }
  }

  absl::Status After(const FakeKubernetes::Call& call) {
    if (IsRead(call)) return absl::OkStatus();
    const bool record = call.plural.starts_with("stagehealths");
    for (const Names& name : names_) {
      if (!record && name.second == call.name) {
        NoteVersion("applications", name.first, name.second);
        NoteOperation(name, call.body);
      }
    }
    if (record) NoteVersion("stagehealths", kRecords, call.name);
    writes_.push_back(base::StrCat(record ? "save " : "patch ", call.name));
    if (!Strikes(call) || fault_->kind != Fault::Kind::kNoResponse) return absl::OkStatus();
    --fault_->times;
    return Error(ErrorKind::kUnreachable, 0, call, "connection lost before the response");
  }

  void ChangeUnderfoot(const FakeKubernetes::Call& call) {
    if (call.plural == "stagehealths") {
      json record = Record();
      if (record.is_null()) {
        record = {{"metadata", {{"name", RecordName()}, {"namespace", kRecords}}},
                  {"spec", {{"project", "shop"}, {"stage", stage_}}}};
      }
      record["metadata"]["annotations"]["touched"] = "yes";
      kubernetes_.Put("stagehealths", record);
      NoteVersion("stagehealths", kRecords, RecordName());
      return;
    }
    for (const Names& name : names_) {
      if (name.second != call.name) continue;
      json object = kubernetes_.Read("applications", name.first, name.second);
      if (object.is_null()) return;
      Evolve(underfoot_, desired_[name], clock_.Now(), object);
      object["metadata"]["generation"] = object["metadata"].value("generation", 0) + 1;
      PutApplication(object);
    }
  }

  // --- what is told

  json Canonical(const v1::RunStepResponse& response) {
    json told = ToJson(response);
    if (told.contains("applications")) {
      for (json& outcome : told["applications"]) {
        if (outcome.contains("patch")) {
          outcome["patch"] = json::parse(outcome["patch"].get<std::string>());
        }
      }
    }
    TellVersions(told);
    return told;
  }

  void TellVersions(json& value) const {
    const auto tell = [&](json& version) {
      if (!version.is_string()) return;
      const auto known = versions_.find(version.get<std::string>());
      if (known != versions_.end()) version = known->second;
    };
    if (value.is_object()) {
      if (value.contains("path") && value["path"] == "/metadata/resourceVersion") {
        tell(value["value"]);
      }
      if (value.contains("resourceVersion")) tell(value["resourceVersion"]);
    }
    if (value.is_structured()) {
      for (json& member : value) TellVersions(member);
    }
  }

  // Writes of several Applications may be made in any order, but not before what was recorded.
  std::vector<std::string> Writes() const {
    std::vector<std::string> writes = writes_;
    auto first = writes.begin();
    while (first != writes.end()) {
      const auto last = std::find_if(
          first, writes.end(), [](const std::string& write) { return write.starts_with("save"); });
      std::sort(first, last);
      first = last == writes.end() ? last : std::next(last);
    }
    return writes;
  }

  void Finish() {
    if (watched_) DeliverAll();
    json& verdicts = result_.verdicts;
    if (const std::optional<v1::StageHealth> health = program_.StageHealth("shop", stage_)) {
      verdicts["health"] = ToJson(*health);
    }
    const std::vector<v1::HealthCheck> checks = MakeHealthChecks(choice_, Applications());
    verdicts["healthByChecks"] = ToJson(program_.StageHealthBy("shop", stage_, checks));
    json record = Record();
    if (record.is_object()) {
      TellVersions(record);
      // The times and the version of the object are the server's.
      json told = {{"labels", record["metadata"].value("labels", json())}};
      for (const char* part : {"spec", "status"}) {
        if (record.contains(part)) told[part] = record[part];
      }
      verdicts["record"] = std::move(told);
    }
    json& applications = verdicts["applications"] = json::object();
    for (const Names& name : names_) {
      json object = kubernetes_.Read("applications", name.first, name.second);
      TellVersions(object);
      applications[name.first + "/" + name.second] = options_.whole ? object : json(Digest(object));
    }
  }

  // --- invariants

  void Violated(std::string_view what, const json& told) {
    result_.violations.push_back(
        base::StrCat("case ", result_.verdicts["case"].dump(), ": ", what, ": ", told.dump()));
  }

  std::map<Names, json> Snapshot() {
    std::map<Names, json> all;
    if (!options_.check) return all;
    for (const Names& name : names_) {
      all[name] = kubernetes_.Read("applications", name.first, name.second);
    }
    return all;
  }

  bool IsSuperseded(const std::string& promotion) {
    const json record = Record();
    if (record.is_null() || !record["spec"].is_object()) return false;
    const json& spec = record["spec"];
    if (spec.contains("promotion") && spec["promotion"].is_object() &&
        spec["promotion"].value("name", "") == promotion) {
      return false;
    }
    const json hash = Program::HashOfPromotion(promotion);
    const json superseded = spec.value("supersededPromotions", json::array());
    return std::find(superseded.begin(), superseded.end(), hash) != superseded.end();
  }

  std::optional<v1::RunStepResponse> DryRunOf(v1::RunStepRequest request) {
    request.set_dry_run(true);
    const std::optional<Fault> fault = std::exchange(fault_, std::nullopt);
    writes_.clear();
    const absl::StatusOr<v1::RunStepResponse> response = program_.RunStep(request);
    if (!writes_.empty()) Violated("a dry run wrote", json(writes_));
    fault_ = fault;
    if (!response.ok()) return std::nullopt;
    return *response;
  }

  // Each attempt of a promotion has one operation on an Application at most.
  void NoteOperation(const Names& name, const std::string& patch) {
    for (const json& change : json::parse(patch)) {
      if (change["path"] != "/operation") continue;
      const std::string made =
          base::StrCat(name.first, "/", name.second, ": ", change["value"]["info"].dump());
      if (!made_.insert(made).second) Violated("an attempt was made twice", made);
    }
  }

  void CheckResponse(const v1::RunStepRequest& request, const v1::RunStepResponse& response,
                     const std::optional<v1::RunStepResponse>& dry,
                     const std::map<Names, json>& before, bool had_fault, bool from_cache,
                     const json& told) {
    if (!dry) return;
    if (from_cache && current_ && response.status() == v1::STEP_STATUS_RUNNING) {
      const bool same = dry->status() == response.status() && dry->reason() == response.reason();
      if (!same) {
        Violated("the caches tell another verdict than a live read", told);
      }
    }
    if (!had_fault && !request.dry_run()) {
      for (const v1::ApplicationOutcome& outcome : response.applications()) {
        if (outcome.action() == v1::ApplicationOutcome::ACTION_SYNC_STARTED) {
          CheckWrite(outcome, *dry, before, told);
        }
      }
    }
    const bool ended = response.status() == v1::STEP_STATUS_SUCCEEDED && !request.dry_run();
    if (!ended) return;
    const std::vector<std::string> writes = writes_;
    const absl::StatusOr<v1::RunStepResponse> again = program_.RunStep(request);
    if (!again.ok() || again->status() != v1::STEP_STATUS_SUCCEEDED) {
      Violated("SUCCEEDED did not stay so", told);
    }
    if (writes_ != writes) Violated("a step that had succeeded wrote again", told);
  }

  void CheckWrite(const v1::ApplicationOutcome& outcome, const v1::RunStepResponse& dry,
                  const std::map<Names, json>& before, const json& told) {
    const Names name(outcome.namespace_(), outcome.name());
    for (const v1::ApplicationOutcome& planned : dry.applications()) {
      if (planned.namespace_() != name.first || planned.name() != name.second) continue;
      if (planned.patch() != outcome.patch()) {
        Violated("a dry run told another patch", told);
        return;
      }
      json expected = before.at(name).patch(json::parse(planned.patch()));
      json stored = kubernetes_.Read("applications", name.first, name.second);
      expected["metadata"].erase("resourceVersion");
      stored["metadata"].erase("resourceVersion");
      expected["metadata"].erase("generation");
      stored["metadata"].erase("generation");
      if (expected != stored) Violated("a dry run's patch is not what was written", told);
      return;
    }
    Violated("a dry run did not tell of a write", told);
  }

  const CaseOptions options_;
  const std::uint64_t seed_;
  Choice choice_;
  Choice underfoot_{0};  // for what others do during a call
  const std::string stage_;
  testing::FakeClock clock_;
  FakeKubernetes kubernetes_;
  Program program_;
  CaseResult result_;

  std::vector<Names> names_;
  std::map<Names, json> first_;      // each Application as it was at first
  std::map<Names, json> delivered_;  // as the watches brought it last
  std::map<Names, json> desired_;    // revisions, as the last step wanted them
  std::vector<Step> steps_;
  std::map<std::string, google::protobuf::Struct> outputs_;  // by promotion and step
  bool watched_ = true;                                      // else nothing is ever in the caches
  bool current_ = false;  // the watches have brought all there is
  json removed_record_;   // the watches have not told of it
  json health_;           // as told last

  std::optional<Fault> fault_;
  std::vector<std::string> writes_;  // of the current call
  std::map<std::string, std::string> versions_;
  std::map<std::string, int> version_counts_;
  std::set<std::string> made_;  // operations, since the record was last changed by others
};

}  // namespace

CaseResult RunCase(std::uint64_t seed, std::uint64_t number, const CaseOptions& options) {
  return RandomCase(seed, number, options).Run();
}

}  // namespace gantry::verdicts
