// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/health_render.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/durations.h"
#include "base/text.h"

namespace gantry::gantryctl {
namespace {

// The longest beginning of an issue that a row shows.
constexpr std::size_t kIssueWidth = 80;

// The most Stages of a project that are named when another one was asked for.
constexpr std::size_t kMostSiblings = 10;

std::vector<std::string> StageHeader(const Look& look) {
  if (!look.wide) return {"PROJECT", "STAGE", "STATE", "PROMOTION", "SINCE", "ISSUES"};
  return {"PROJECT", "STAGE",        "STATE",      "PROMOTION", "UPDATED",
          "SINCE",   "APPLICATIONS", "INDICATORS", "ISSUES"};
}

std::string StateWord(v1::HealthState state) {
  if (state == v1::HEALTH_STATE_UNSPECIFIED) return "";
  return Word(v1::HealthState_Name(state), "HEALTH_STATE_", state);
}

std::string PhaseWord(v1::PromotionPhase phase) {
  if (phase == v1::PROMOTION_PHASE_UNSPECIFIED) return "";
  return Word(v1::PromotionPhase_Name(phase), "PROMOTION_PHASE_", phase);
}

std::string Utc(const google::protobuf::Timestamp& time) {
  return base::UtcTime(absl::FromUnixSeconds(time.seconds()));
}

std::string PromotionCell(const v1::StageHealth& health) {
  if (!health.has_promotion()) return "";
  const std::string phase = PhaseWord(health.promotion().phase());
  return absl::StrCat(health.promotion().name(), phase.empty() ? "" : " ",
                      phase.empty() ? "" : absl::StrCat("(", phase, ")"));
}

std::string IssuesCell(const v1::StageHealth& health, const Look& look) {
  if (health.issues().empty()) return "";
  if (look.wide) return absl::StrJoin(health.issues(), "; ");
  const int more = health.issues_size() - 1;
  return absl::StrCat(CutTo(OneLine(health.issues(0)), kIssueWidth),
                      more > 0 ? absl::StrCat(" (+", more, " more)") : "");
}

// "2/3": how many are healthy, of how many.
template <typename Items>
std::string HealthyOf(const Items& items) {
  if (items.empty()) return "";
  const auto healthy = std::count_if(items.begin(), items.end(), [](const auto& item) {
    return item.state() == v1::HEALTH_STATE_HEALTHY;
  });
  return absl::StrCat(healthy, "/", items.size());
}

std::vector<std::string> StageRow(const v1::StageHealth& health, const Look& look) {
  const std::string since = health.has_transition_time() ? Utc(health.transition_time()) : "";
  if (!look.wide) {
    return {health.project(),      health.stage(), StateWord(health.state()),
            PromotionCell(health), since,          IssuesCell(health, look)};
  }
  // While a promotion runs the Applications are not evaluated.
  const bool promoting = health.promotion().phase() == v1::PROMOTION_PHASE_RUNNING;
  return {health.project(),
          health.stage(),
          StateWord(health.state()),
          PromotionCell(health),
          health.promotion().has_update_time() ? Utc(health.promotion().update_time()) : "",
          since,
          promoting ? "" : HealthyOf(health.applications()),
          HealthyOf(health.indicators()),
          IssuesCell(health, look)};
}

// The observed revision of each source, with the desired one where that is another.
std::string RevisionsCell(const v1::ApplicationHealth& application) {
  const auto& observed = application.observed_revisions();
  const auto& desired = application.desired_revisions();
  std::vector<std::string> revisions;
  for (int i = 0; i < std::max(observed.size(), desired.size()); ++i) {
    const std::string is = i < observed.size() ? observed.Get(i) : "";
    const std::string wanted = i < desired.size() ? desired.Get(i) : "";
    std::string revision = is.empty() ? "-" : is;
    if (!wanted.empty() && wanted != is) absl::StrAppend(&revision, " (wanted: ", wanted, ")");
    revisions.push_back(revision);
  }
  return absl::StrJoin(revisions, ", ");
}

// The issues of the Stage, then those of its Applications that it does not repeat.
std::vector<std::string> AllIssues(const v1::StageHealth& health) {
  std::vector<std::string> issues(health.issues().begin(), health.issues().end());
  for (const v1::ApplicationHealth& application : health.applications()) {
    for (const std::string& issue : application.issues()) {
      const bool told = std::any_of(
          health.issues().begin(), health.issues().end(),
          [&issue](const std::string& other) { return absl::StrContains(other, issue); });
      if (!told) {
        issues.push_back(
            absl::StrCat(application.namespace_(), "/", application.name(), ": ", issue));
      }
    }
  }
  return issues;
}

// Of a Stage written as project/stage.
std::string ProjectOf(const std::string& name) { return name.substr(0, name.find('/')); }

std::vector<std::string> NearProjects(const std::string& wanted,
                                      const std::vector<std::string>& stages) {
  std::set<std::string> projects;
  for (const std::string& name : stages) projects.insert(ProjectOf(name));
  return base::NearNames(wanted, {projects.begin(), projects.end()});
}

std::string DidYouMean(const std::string& what, const std::vector<std::string>& names) {
  return absl::StrCat("did you mean ", what, OneLine(absl::StrJoin(names, " or ")), "?\n");
}

}  // namespace

std::string RenderStages(const v1::ListStageHealthResponse& response, const Look& look) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::StageHealth& health : response.stages()) rows.push_back(StageRow(health, look));
  return Table(StageHeader(look), rows, StatePainter(look));
}

std::string RenderStage(const v1::StageHealth& health, const Look& look) {
  std::string text = Table(StageHeader(look), {StageRow(health, look)}, StatePainter(look));

  if (!health.applications().empty()) {
    // Then the Applications are not evaluated.
    const bool promoting = health.promotion().phase() == v1::PROMOTION_PHASE_RUNNING;
    std::vector<std::vector<std::string>> rows;
    for (const v1::ApplicationHealth& application : health.applications()) {
      rows.push_back({application.namespace_(), application.name(),
                      promoting ? "" : StateWord(application.state()), application.health_status(),
                      application.sync_status(), application.operation_phase(),
                      RevisionsCell(application)});
      if (look.wide) rows.back().push_back(application.health_message());
    }
    std::vector<std::string> header = {"NAMESPACE", "NAME",      "STATE",    "HEALTH",
                                       "SYNC",      "OPERATION", "REVISIONS"};
    if (look.wide) header.emplace_back("MESSAGE");
    text += "\n" + Table(header, rows, StatePainter(look));
  }

  if (!health.indicators().empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const v1::HealthIndicator& indicator : health.indicators()) {
      rows.push_back({indicator.name(), StateWord(indicator.state()),
                      indicator.has_expire_time() ? Utc(indicator.expire_time()) : "never",
                      indicator.message()});
    }
    text += "\n" + Table({"INDICATOR", "STATE", "EXPIRES", "MESSAGE"}, rows, StatePainter(look));
  }

  const std::vector<std::string> issues = AllIssues(health);
  if (!issues.empty()) text += "\nIssues:\n";
  for (const std::string& issue : issues) absl::StrAppend(&text, "  - ", OneLine(issue), "\n");
  return text;
}

absl::StatusOr<std::string> RenderStagesJson(const v1::ListStageHealthResponse& response) {
  v1::ListStageHealthResponse all = response;
  all.clear_next_page_token();
  // Protobuf leaves out what is empty, but a script should not have to care.
  const bool stale = all.stale();
  all.set_stale(true);
  absl::StatusOr<std::string> json = RenderJson(all);
  if (!json.ok()) return json;
  constexpr char kTrue[] = "true";
  const std::size_t at = json->rfind(kTrue);  // its last field
  if (!stale && at != std::string::npos) json->replace(at, sizeof kTrue - 1, "false");
  if (all.stages().empty()) json->insert(1, "\n \"stages\": [],");
  return json;
}

absl::StatusOr<std::string> RenderStagesYaml(const v1::ListStageHealthResponse& response) {
  const absl::StatusOr<std::string> json = RenderStagesJson(response);
  if (!json.ok()) return json.status();
  return JsonToYaml(*json);
}

std::string RenderStale(const google::protobuf::Timestamp& observed_time) {
  return absl::StrCat("the evidence is stale: observed at ", Utc(observed_time), "\n");
}

std::string RenderUnknownStage(const std::string& project, const std::string& stage,
                               const std::vector<std::string>& all) {
  const std::string wanted = absl::StrCat(project, "/", stage);
  const std::string unknown = absl::StrCat("no Stage ", OneLine(wanted), "; ");
  const std::vector<std::string> near = base::NearNames(wanted, all);
  if (!near.empty()) return absl::StrCat(unknown, DidYouMean("", near));
  std::vector<std::string> siblings;
  for (const std::string& name : all) {
    if (ProjectOf(name) == project) siblings.push_back(name.substr(project.size() + 1));
  }
  if (!siblings.empty() && siblings.size() <= kMostSiblings) {
    return absl::StrCat(unknown, "project ", OneLine(project), " has ",
                        OneLine(absl::StrJoin(siblings, ", ")), "\n");
  }
  const std::vector<std::string> projects = NearProjects(project, all);
  if (siblings.empty() && !projects.empty()) {
    return absl::StrCat(unknown, DidYouMean("project ", projects));
  }
  return absl::StrCat(unknown,
                      "the service knows a Stage once a promotion step has run for it, or "
                      "something was reported. gantryctl health lists those it knows.\n");
}

std::string RenderNotReached(const HealthFlags& flags, std::optional<v1::HealthState> last,
                             absl::Duration elapsed) {
  const std::string stage = absl::StrCat(OneLine(flags.project), "/", OneLine(flags.stage));
  const std::string after = absl::StrCat(" after ", base::FormatGoDuration(elapsed), "\n");
  const std::string wanted = StateWord(flags.wait_for);
  if (!last) return absl::StrCat(stage, " is not known, and hence not ", wanted, ",", after);
  const std::string word = StateWord(*last);
  return absl::StrCat(stage, " is ", word.empty() ? "in no state" : word, ", not ", wanted, ",",
                      after);
}

std::string RenderNoStages(const HealthFlags& flags, const std::vector<std::string>& all) {
  if (flags.project.empty()) return "the service knows no Stages yet\n";
  const std::string unknown =
      absl::StrCat("the service knows no Stages of project ", OneLine(flags.project));
  const std::vector<std::string> projects = NearProjects(flags.project, all);
  return projects.empty() ? absl::StrCat(unknown, "\n")
                          : absl::StrCat(unknown, "; ", DidYouMean("", projects));
}

WatchPrinter::WatchPrinter(OutputFormat format, const Look& look)
    : format_(format), look_(look), table_(StageHeader(look), StatePainter(look)) {}

absl::StatusOr<std::string> WatchPrinter::Print(const v1::WatchStageHealthResponse& event) {
  switch (format_) {
    case OutputFormat::kJson:
      return RenderJson(event, /*one_line=*/true);
    case OutputFormat::kYaml: {
      absl::StatusOr<std::string> yaml = RenderYaml(event);
      if (yaml.ok()) yaml->insert(0, "---\n");
      return yaml;
    }
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      break;
  }
  return PrintRows(event);
}

std::string WatchPrinter::PrintRows(const v1::WatchStageHealthResponse& event) {
  if (event.has_synced()) {
    std::vector<Row> rows;
    for (auto& entry : first_) rows.push_back(std::move(entry.second));
    first_.clear();
    synced_ = true;
    return rows.empty() ? "" : table_.Add(rows);
  }
  if (event.has_updated()) {
    const v1::StageHealth& health = event.updated();
    if (synced_) return table_.Add({StageRow(health, look_)});
    first_[{health.project(), health.stage()}] = StageRow(health, look_);
  } else if (event.has_deleted()) {
    const v1::StageRef& stage = event.deleted();
    if (synced_) {
      Row row = {stage.project(), stage.stage(), "(deleted)"};
      row.resize(StageHeader(look_).size());
      return table_.Add({row});
    }
    first_.erase({stage.project(), stage.stage()});
  }
  return "";
}

}  // namespace gantry::gantryctl
