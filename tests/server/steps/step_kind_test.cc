// SPDX-License-Identifier: Apache-2.0
#include "server/steps/step_kind.h"

#include "base/strings.h"
#include "tests/server/steps/step_fixture.h"

namespace gantry::steps {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A third kind of step, whole: it succeeds when each Application has the label "ready".
class LabelStep final : public Step {
 public:
  const std::vector<ApplicationSelection>& selections() const override { return selections_; }
  StepPlan Evaluate(const StepInput& input) const override {
    StepPlan plan;
    plan.success = "all Applications are labelled";
    for (const Candidate& candidate : input.candidates) {
      ApplicationPlan& made = plan.applications.emplace_back();
      made.application = candidate.application;
      const bool ready = argocd::FindLabel(*candidate.application, "ready").has_value();
      made.verdict = ready ? Verdict::kDone : Verdict::kWaits;
      made.reason = v1::STEP_REASON_NOT_READY;
      made.attempts.done = ready;
      made.message = base::StrCat(ToString(candidate.application->name), ready ? " is" : " is not",
                                  " labelled");
    }
    return plan;
  }

 private:
  std::vector<ApplicationSelection> selections_ = {{.ns = "", .name = "web", .label_selector = ""}};
};

class LabelKind final : public StepKind {
 public:
  std::string_view uses() const override { return "label-wait"; }
  std::string_view description() const override { return "Waits for a label."; }
  std::string_view config_schema() const override { return "{}"; }
  bool changes_applications() const override { return false; }
  Parsed Parse(const nlohmann::json&) const override { return {{}, std::make_unique<LabelStep>()}; }
};

class StepKindTest : public StepFixture {
 protected:
  StepKindTest() { request_.set_uses("label-wait"); }
  static json Application(bool ready) {
    json application = {{"metadata", {{"namespace", "argocd"}, {"name", "web"}}}};
    if (ready) application["metadata"]["labels"]["ready"] = "yes";
    return application;
  }
  StepDriver step_{
      std::make_unique<LabelKind>(),
      {.watch_namespaces = {"argocd"}},
      {kubernetes_, stages_, events_, helpers_, watches_.caches, clock_, random_, sleeper_}};
};

TEST_F(StepKindTest, AThirdKindIsOneClassOfRules) {
  EXPECT_ANSWER(Run(step_), ERRORED, APPLICATION_NOT_FOUND);
  Put(Application(false));
  v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);
  EXPECT_THAT(response.message(), HasSubstr("argocd/web is not labelled"));
  EXPECT_EQ(StageSpec()["promotion"]["name"], "p1");

  // Polls are answered from the watches.
  Watch();
  EXPECT_EQ(CallsOf(step_), 0U);

  Put(Application(true));
  Watch();
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(StageSpec()["steps"][0]["uses"], "label-wait");
  // What has succeeded stays so.
  Put(Application(false));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
}

TEST_F(StepKindTest, AStepThatOnlyLooksTakesNobodysPlace) {
  Put(Application(false));
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  request_.set_promotion("p2");
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_EQ(StageSpec()["promotion"]["name"], "p1");
  EXPECT_THAT(StageSpec()["supersededPromotions"], IsEmpty());
}

TEST_F(StepKindTest, ARunningStepTellsWhatItWaitsFor) {
  Put(Application(false));
  base::Context context;
  const absl::StatusOr<StepResult> result = step_.TryRun(request_, context, log_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->wake_on.applications,
              ::testing::ElementsAre(argocd::ApplicationName{"argocd", "web"}));
  EXPECT_THAT(result->wake_on.selectors, IsEmpty());
  EXPECT_FALSE(result->wake_on.due.has_value());
}

}  // namespace
}  // namespace gantry::steps
