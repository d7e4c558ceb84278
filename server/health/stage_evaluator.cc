// SPDX-License-Identifier: Apache-2.0
#include "server/health/stage_evaluator.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/stages/stage_status.h"

namespace gantry::health {
namespace {

using argocd::ApplicationName;
using cache::Freshness;

// A change copies the bytes of one group, and one pointer for each other: with a thousand
// Applications of some 250 bytes this is where both together are cheapest.
constexpr std::size_t kGroupSize = 32;

// A snapshot's bytes: what is appended makes up pieces of its own, between those that are shared.
class Pieces {
 public:
  Pieces(StageSnapshot& snapshot, bool one) : snapshot_(snapshot), one_(one) {}

  void Append(std::string_view bytes) { own_ += bytes; }
  // Shares `bytes`, unless all is to be one piece.
  void Share(const SharedBytes& bytes) {
    if (one_) return Append(*bytes);
    Flush();
    snapshot_.pieces.push_back(bytes);
  }
  void Flush() {
    if (own_.empty()) return;
    snapshot_.pieces.push_back(std::make_shared<const std::string>(std::move(own_)));
    own_.clear();
  }
  void Reserve(std::size_t size) { own_.reserve(size); }
  std::size_t size() const { return own_.size(); }

 private:
  StageSnapshot& snapshot_;
  const bool one_;
  std::string own_;
};

std::string IssueBytes(const std::vector<std::string>& issues) {
  v1::StageHealth part;
  for (const std::string& issue : issues) part.add_issues(issue);
  return part.SerializeAsString();
}

}  // namespace

struct StageEvaluator::Frame {
  v1::HealthState state = v1::HEALTH_STATE_HEALTHY;
  std::vector<std::string> first_issues;  // before those of the Applications
  std::vector<std::string> last_issues;   // behind those of the Applications
  v1::StageHealth rest;                   // the promotion and the indicators
  bool stale = false;
};

void StageEvaluator::SetStage(cache::CachedStagePtr stage) {
  const bool same_record = stage_ != nullptr && stage_->record == stage->record;
  const std::vector<const stages::HealthCheckRecord*> checks = ChecksInOrder(stage->record);
  stage_ = std::move(stage);
  frame_due_ = true;
  if (!same_record) {
    entries_.assign(checks.size(), {});
    groups_.assign((checks.size() + kGroupSize - 1) / kGroupSize, {});
    wants_refresh_ = nullptr;
    lagging_ = 0;
    all_due_ = true;
    sources_ = {caches_.stage_source()};
    for (const stages::HealthCheckRecord* check : checks) {
      const std::optional<Freshness::Source> source = caches_.SourceOf(check->application.ns);
      if (source && std::find(sources_.begin(), sources_.end(), *source) == sources_.end()) {
        sources_.push_back(*source);
      }
    }
  }
  unknown_due_ = true;
  stored_ = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].check = checks[i];
    entries_[i].is_stored = IsStored(i);
    stored_ += entries_[i].is_stored ? 1 : 0;
  }
}

StageSnapshotPtr StageEvaluator::Evaluate(const std::vector<std::size_t>& changed,
                                          const Moment& moment) {
  const Due due = TakeDue(changed);
  bool news = frame_due_ || snapshot_ == nullptr || (next_expiry_ && *next_expiry_ <= moment.now);
  for (auto first = due.begin(); first != due.end();) {
    const std::size_t group = *first / kGroupSize;
    const auto last = std::lower_bound(first, due.end(), EndOf(group));
    if (EvaluateGroup(group, first, last, moment)) news = true;
    first = last;
  }
  if (!news) return snapshot_;
  StageSnapshotPtr made = MakeSnapshot(moment);
  if (snapshot_ == nullptr || !SaySame(*snapshot_, *made)) snapshot_ = std::move(made);
  frame_due_ = false;
  return snapshot_;
}

StageEvaluator::Due StageEvaluator::TakeDue(const std::vector<std::size_t>& changed) {
  Due due;
  if (all_due_) {
    due.resize(entries_.size());
    std::iota(due.begin(), due.end(), 0);
    // Whether the record itself is stale is told beside the Applications.
    frame_due_ = true;
  } else {
    due = changed;
    if (unknown_due_ || lagging_ > 0) {
      for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Entry& entry = entries_[i];
        const bool unknown = unknown_due_ && entry.application_state == v1::HEALTH_STATE_UNKNOWN;
        if (unknown || entry.lags) due.push_back(i);
      }
    }
    std::sort(due.begin(), due.end());
    due.erase(std::unique(due.begin(), due.end()), due.end());
  }
  all_due_ = false;
  unknown_due_ = false;
  return due;
}

std::size_t StageEvaluator::EndOf(std::size_t group) const {
  return std::min((group + 1) * kGroupSize, entries_.size());
}

bool StageEvaluator::EvaluateGroup(std::size_t group, Due::const_iterator first,
                                   Due::const_iterator last, const Moment& moment) {
  bool news = false;
  bool issues_changed = false;
  bool bytes_changed = false;
  std::vector<std::string> bytes;
  bytes.reserve(static_cast<std::size_t>(last - first));
  std::size_t next = group * kGroupSize;
  std::size_t place = 0;
  for (auto due = first; due != last; ++due) {
    for (; next < *due; ++next) place += entries_[next].size;
    bytes.push_back(EvaluateEntry(*due, moment, news, issues_changed));
    const std::string_view before = groups_[group].applications.substr(place, entries_[next].size);
    if (bytes.back() != before) bytes_changed = true;
  }
  if (bytes_changed) ReplaceBytes(group, first, bytes);
  if (issues_changed) ReplaceIssues(group);
  if (news || bytes_changed) {
    groups_[group].state = v1::HEALTH_STATE_HEALTHY;
    for (std::size_t i = group * kGroupSize; i < EndOf(group); ++i) {
      groups_[group].state = Merge(groups_[group].state, entries_[i].stage_state);
    }
  }
  return news || bytes_changed || issues_changed;
}

std::string StageEvaluator::EvaluateEntry(std::size_t i, const Moment& moment, bool& news,
                                          bool& issues_changed) {
  Entry& entry = entries_[i];
  const FoundEvidence found =
      FindEvidenceOf(entry.check->application, caches_, moment.readings, stage_->status);
  CheckEvaluation evaluation = EvaluateCheck(stage_->record, *entry.check, found.evidence);

  if (entry.stage_state != evaluation.stage_state) news = true;
  entry.stage_state = evaluation.stage_state;
  if (entry.wants_refresh != evaluation.wants_refresh) {
    entry.wants_refresh = evaluation.wants_refresh;
    wants_refresh_ = nullptr;
    news = true;
  }
  lagging_ = lagging_ - (entry.lags ? 1 : 0) + (evaluation.lags ? 1 : 0);
  entry.lags = evaluation.lags;
  entry.application_state = evaluation.health.state();
  const bool is_stored = IsStored(i);
  if (is_stored != entry.is_stored) news = true;
  stored_ = stored_ - (entry.is_stored ? 1 : 0) + (is_stored ? 1 : 0);
  entry.is_stored = is_stored;

  const auto& issues = evaluation.health.issues();
  const auto first_issue = issues.begin() + evaluation.first_stage_issue;
  if (!std::equal(first_issue, issues.end(), entry.issues.begin(), entry.issues.end())) {
    entry.issues.assign(first_issue, issues.end());
    issues_changed = true;
  }
  v1::StageHealth part;
  part.add_applications()->Swap(&evaluation.health);
  return part.SerializeAsString();
}

void StageEvaluator::ReplaceBytes(std::size_t group, Due::const_iterator due,
                                  const std::vector<std::string>& bytes) {
  Group& replaced = groups_[group];
  std::size_t size = replaced.applications.size();
  for (const std::string& piece : bytes) size += piece.size();
  auto all = std::make_shared<std::string>();
  all->reserve(size);
  std::size_t place = 0;
  std::size_t used = 0;
  for (std::size_t i = group * kGroupSize; i < EndOf(group); ++i) {
    const std::string_view before = replaced.applications.substr(place, entries_[i].size);
    place += before.size();
    if (used < bytes.size() && *due == i) {
      all->append(bytes[used]);
      entries_[i].size = static_cast<std::uint32_t>(bytes[used].size());
      ++used;
      ++due;
    } else {
      all->append(before);
    }
  }
  replaced.applications = *all;
  replaced.owner = std::move(all);
}

void StageEvaluator::ReplaceIssues(std::size_t group) {
  v1::StageHealth part;
  for (std::size_t i = group * kGroupSize; i < EndOf(group); ++i) {
    for (const std::string& issue : entries_[i].issues) part.add_issues(issue);
  }
  groups_[group].issues = part.issues().empty()
                              ? nullptr
                              : std::make_shared<const std::string>(part.SerializeAsString());
}

bool StageEvaluator::IsStored(std::size_t i) const {
  // Both are ordered by name, so what says the same stands at the same place.
  const std::vector<stages::StageStatus::Application>& stored = stage_->status.applications;
  return i < stored.size() && stored[i].state == entries_[i].application_state &&
         stored[i].since.has_value() && stored[i].name == entries_[i].check->application;
}

bool StageEvaluator::StatusDiffers(v1::HealthState state, const Frame& frame) const {
  const stages::StageStatus& stored = stage_->status;
  if (stored.state != state || !stored.transition_time) return true;
  if (stored_ != entries_.size() || stored_ != stored.applications.size()) return true;
  std::size_t count = 0;
  const auto is_stored = [&](const std::vector<std::string>& issues) {
    for (const std::string& issue : issues) {
      if (count == stages::kMaxStatusIssues) break;
      if (count == stored.issues.size() || stored.issues[count] != stages::CutMessage(issue)) {
        return false;
      }
      ++count;
    }
    return true;
  };
  if (!is_stored(frame.first_issues)) return true;
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    if (groups_[group].issues == nullptr || count == stages::kMaxStatusIssues) continue;
    for (std::size_t i = group * kGroupSize; i < EndOf(group); ++i) {
      if (!is_stored(entries_[i].issues)) return true;
    }
  }
  return !is_stored(frame.last_issues) || count != stored.issues.size();
}

StageEvaluator::Frame StageEvaluator::MakeFrame(const Moment& moment) {
  StageFrame evaluated = EvaluateFrame(stage_->record, moment.now);
  next_expiry_ = evaluated.next_expiry;
  Frame frame;
  frame.state = evaluated.health.state();
  const std::optional<absl::Time> stale_since = StaleSince(moment.readings, caches_.stage_source());
  if (stale_since) {
    frame.first_issues.push_back(base::StrCat("nothing was heard of the record of the Stage since ",
                                              base::UtcTime(*stale_since)));
  }
  if (!stage_->problem.empty()) {
    const bool stored = stage_->status.state == v1::HEALTH_STATE_UNKNOWN;
    const absl::Time since = (stored ? stage_->status.transition_time : std::nullopt)
                                 .value_or(caches_.freshness.SyncedAt(caches_.stage_source()));
    frame.first_issues.push_back(base::StrCat(
        "the record of the Stage can't be understood, UNKNOWN since ", base::UtcTime(since), ": ",
        stage_->problem, "; correct the StageHealth, or delete it to forget the Stage"));
  }
  if (!frame.first_issues.empty()) frame.state = Merge(frame.state, v1::HEALTH_STATE_UNKNOWN);
  for (std::string& issue : evaluated.promotion_issues) {
    frame.first_issues.push_back(std::move(issue));
  }
  frame.last_issues = std::move(evaluated.indicator_issues);
  frame.rest = std::move(evaluated.health);
  frame.rest.clear_project();
  frame.rest.clear_stage();
  frame.rest.clear_state();
  frame.stale = std::any_of(sources_.begin(), sources_.end(), [&](Freshness::Source source) {
    return moment.readings[source].stale;
  });
  return frame;
}

// The parts of a message, each with some of its fields and in the order of the fields, are the
// message. There are no maps and no unknown fields, so equal messages have equal bytes.
void StageEvaluator::Assemble(const Frame& frame, v1::HealthState state, StageSnapshot& snapshot) {
  v1::StageHealth first;
  first.set_project(stage_->record.project);
  first.set_stage(stage_->record.stage);
  first.set_state(state);
  for (const std::string& issue : frame.first_issues) first.add_issues(issue);
  const std::string head = first.SerializeAsString();
  const std::string last_issues = IssueBytes(frame.last_issues);
  const std::string rest = frame.rest.SerializeAsString();
  std::size_t size = head.size() + last_issues.size() + rest.size();
  for (const Group& group : groups_) {
    size += group.applications.size() + (group.issues != nullptr ? group.issues->size() : 0);
  }
  const std::string header = FieldHeader(size);
  snapshot.size = header.size() + size;

  const bool one = groups_.size() <= 1;
  Pieces pieces(snapshot, one);
  if (one) pieces.Reserve(snapshot.size);
  pieces.Append(header);
  pieces.Append(head);
  for (const Group& group : groups_) {
    if (group.issues != nullptr) pieces.Share(group.issues);
  }
  pieces.Append(last_issues);
  const std::size_t applications_at = pieces.size();
  for (const Group& group : groups_) {
    // The owner of a single group's bytes may have more than these.
    if (one) {
      pieces.Append(group.applications);
    } else {
      pieces.Share(group.owner);
    }
  }
  pieces.Append(rest);
  pieces.Flush();
  if (groups_.size() == 1) {
    // So that they are not kept twice.
    Group& group = groups_.front();
    group.applications =
        std::string_view(*snapshot.pieces[0]).substr(applications_at, group.applications.size());
    group.owner = snapshot.pieces[0];
  }
}

StageSnapshotPtr StageEvaluator::MakeSnapshot(const Moment& moment) {
  auto snapshot = std::make_shared<StageSnapshot>();
  Frame frame = MakeFrame(moment);
  v1::HealthState state = frame.state;
  for (const Group& group : groups_) state = Merge(state, group.state);
  // What is stored of another state tells nothing about this one, until the leader has stored it.
  if (stage_->status.transition_time && stage_->status.state == state) {
    *frame.rest.mutable_transition_time() =
        google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
            absl::ToUnixNanos(*stage_->status.transition_time));
  }
  if (wants_refresh_ == nullptr) {
    std::vector<ApplicationName> names;
    for (const Entry& entry : entries_) {
      if (entry.wants_refresh) names.push_back(entry.check->application);
    }
    wants_refresh_ = std::make_shared<const std::vector<ApplicationName>>(std::move(names));
  }
  static const SharedNames* const none =
      new SharedNames(std::make_shared<const std::vector<ApplicationName>>());
  snapshot->name = stage_->key();
  snapshot->state = state;
  snapshot->sources = sources_;
  snapshot->evaluated_stale = frame.stale;
  snapshot->status_differs = !frame.stale && StatusDiffers(state, frame);
  snapshot->wants_refresh = frame.stale ? *none : wants_refresh_;
  Assemble(frame, state, *snapshot);
  return snapshot;
}

}  // namespace gantry::health
