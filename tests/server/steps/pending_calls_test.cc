// SPDX-License-Identifier: Apache-2.0
#include "server/steps/pending_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using Reason = PendingCalls::Reason;
using TimePoint = PendingCalls::TimePoint;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TimePoint kStart = TimePoint() + std::chrono::hours(1);
constexpr std::chrono::seconds kSecond{1};

class PendingCallsTest : public ::testing::Test {
 protected:
  PendingCallsTest() {
    watches_.caches.applications.SetListener(
        [this](const argocd::ApplicationName& name) { pending_.ApplicationChanged(name); });
    watches_.caches.stages.SetListener(
        [this](const cache::StageName& name) { pending_.StageChanged(name); });
  }

  void PutApplication(const std::string& name, const std::string& team = "nobody") {
    const std::string version = std::to_string(++version_);
    watches_.PutApplication({{"metadata",
                              {{"namespace", "argocd"},
                               {"name", name},
                               {"uid", name},
                               {"resourceVersion", version},
                               {"labels", {{"version", version}, {"team", team}}}}}});
  }
  void PutStage(const std::string& stage) {
    const std::string version = std::to_string(++version_);
    watches_.PutStage(
        {{"metadata", {{"name", "shop." + stage}, {"uid", stage}, {"resourceVersion", version}}},
         {"spec", {{"promotion", {{"name", "p" + version}, {"phase", "Running"}}}}}});
  }

  PendingCalls::Interest Interest(const std::string& stage,
                                  const std::vector<std::string>& applications,
                                  TimePoint due = TimePoint::max()) const {
    PendingCalls::Interest interest{{"shop", stage}, {}, {}, pending_.Now(), due};
    for (const std::string& name : applications) interest.applications.push_back({"argocd", name});
    return interest;
  }
  // What a call waits for whose selector matched these Applications.
  PendingCalls::Interest Selected(const std::vector<std::string>& applications) const {
    PendingCalls::Interest interest = Interest("prod", applications);
    ApplicationSelection selection;
    selection.ns = "argocd";
    selection.label_selector = "team=shop";
    selection.criteria = LabelCriteria({{"matchLabels", {{"team", "shop"}}}});
    interest.selectors.push_back(selection);
    return interest;
  }

  // What it is woken with is appended to `woken_` under `name`.
  PendingCalls::Wake Waker(const std::string& name) {
    return [this, name](Reason reason) {
      const char* const words[] = {"changed", "due", "stopping"};
      woken_.push_back(name + " " + words[static_cast<int>(reason)]);
    };
  }
  PendingCalls::Id Wait(const std::string& name, PendingCalls::Interest interest) {
    const PendingCalls::Id id = pending_.NewId();
    pending_.Add(id, std::move(interest), context_, Waker(name));
    return id;
  }

  testing::FakeClock clock_;
  testing::WatchedCaches watches_{{"argocd"}, clock_};
  PendingCalls pending_{watches_.caches};
  base::Context context_;
  std::vector<std::string> woken_;
  int version_ = 0;
};

TEST_F(PendingCallsTest, AChangeOfAnApplicationWakesTheCallsThatWaitForItOnce) {
  Wait("a", Interest("prod", {"web", "api"}));
  Wait("b", Interest("test", {"api"}));
  Wait("c", Interest("docs", {"docs"}));
  EXPECT_EQ(pending_.size(), 3U);
  PutApplication("stray");
  EXPECT_THAT(woken_, IsEmpty());
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
  PutApplication("api");
  EXPECT_THAT(woken_, ElementsAre("a changed", "b changed"));
  PutApplication("web");
  PutApplication("api");
  EXPECT_EQ(woken_.size(), 2U);
  EXPECT_EQ(pending_.size(), 1U);
}

TEST_F(PendingCallsTest, AnApplicationThatBeginsToMatchASelectorWakes) {
  PutApplication("web", "shop");
  PutApplication("api");
  Wait("a", Selected({"web"}));
  Wait("b", Interest("test", {"web"}));
  // Neither is one that is not selected, new or known.
  PutApplication("docs");
  PutApplication("api", "bank");
  EXPECT_THAT(woken_, IsEmpty());
  PutApplication("api", "shop");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
  EXPECT_EQ(pending_.size(), 1U);
}

TEST_F(PendingCallsTest, ANewApplicationThatMatchesASelectorWakes) {
  PutApplication("web", "shop");
  Wait("a", Selected({"web"}));
  PutApplication("new", "shop");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(PendingCallsTest, WhatBeganToMatchASelectorMeanwhileWakesAtOnce) {
  PutApplication("web", "shop");
  const PendingCalls::Interest interest = Selected({"web"});
  PutApplication("new", "shop");
  Wait("a", interest);
  EXPECT_THAT(woken_, ElementsAre("a changed"));
  EXPECT_EQ(pending_.size(), 0U);
}

TEST_F(PendingCallsTest, OneThatStillMatchesASelectorWakesAsAnyOther) {
  PutApplication("web", "shop");
  Wait("a", Selected({"web"}));
  PutApplication("web", "shop");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(PendingCallsTest, AnApplicationThatIsDeletedWakes) {
  PutApplication("web");
  Wait("a", Interest("prod", {"web"}));
  watches_.DeleteApplication(
      {{"metadata",
        {{"namespace", "argocd"}, {"name", "web"}, {"uid", "web"}, {"resourceVersion", "9"}}}});
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(PendingCallsTest, AChangeOfItsStageWakes) {
  Wait("a", Interest("prod", {"web"}));
  Wait("b", Interest("prod", {}));
  Wait("c", Interest("test", {"web"}));
  PutStage("prod");
  EXPECT_THAT(woken_, ElementsAre("a changed", "b changed"));
  EXPECT_EQ(pending_.size(), 1U);
}

TEST_F(PendingCallsTest, WakesWhatIsDueAndTellsWhenTheNextIs) {
  EXPECT_EQ(pending_.WakeDue(kStart), TimePoint::max());
  Wait("late", Interest("prod", {}, kStart + 3 * kSecond));
  Wait("early", Interest("prod", {}, kStart + kSecond));
  Wait("never", Interest("prod", {}));
  EXPECT_EQ(pending_.WakeDue(kStart), kStart + kSecond);
  EXPECT_THAT(woken_, IsEmpty());
  EXPECT_EQ(pending_.WakeDue(kStart + kSecond), kStart + 3 * kSecond);
  EXPECT_THAT(woken_, ElementsAre("early due"));
  EXPECT_EQ(pending_.WakeDue(kStart + 10 * kSecond), TimePoint::max());
  EXPECT_THAT(woken_, ElementsAre("early due", "late due"));
}

TEST_F(PendingCallsTest, CallsDueAtTheSameTimeAreAllWoken) {
  for (const char* name : {"a", "b", "c"}) Wait(name, Interest("prod", {"web"}, kStart));
  pending_.WakeDue(kStart);
  EXPECT_THAT(woken_, ElementsAre("a due", "b due", "c due"));
  PutApplication("web");
  EXPECT_EQ(woken_.size(), 3U);
}

TEST_F(PendingCallsTest, AChangeBetweenJudgingAndParkingWakesAtOnce) {
  PutApplication("web");
  PutStage("prod");
  const PendingCalls::Interest judged = Interest("prod", {"api", "web"});
  PutApplication("stray");
  Wait("unconcerned", judged);
  EXPECT_THAT(woken_, IsEmpty());
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("unconcerned changed"));
  Wait("application", judged);
  EXPECT_THAT(woken_, ElementsAre("unconcerned changed", "application changed"));
  const PendingCalls::Interest later = Interest("prod", {"api", "web"});
  PutStage("prod");
  Wait("stage", later);
  EXPECT_EQ(woken_.back(), "stage changed");
  EXPECT_EQ(pending_.size(), 0U);
}

TEST_F(PendingCallsTest, ADeletionBetweenJudgingAndParkingWakesAtOnce) {
  PutApplication("web");
  const PendingCalls::Interest judged = Interest("prod", {"web"});
  watches_.DeleteApplication(
      {{"metadata",
        {{"namespace", "argocd"}, {"name", "web"}, {"uid", "web"}, {"resourceVersion", "9"}}}});
  Wait("a", judged);
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(PendingCallsTest, ACallWhoseContextHasEndedIsWokenAtOnce) {
  context_.Cancel();
  Wait("a", Interest("prod", {"web"}));
  EXPECT_THAT(woken_, ElementsAre("a due"));
  EXPECT_EQ(pending_.size(), 0U);
}

TEST_F(PendingCallsTest, WhatIsWithdrawedIsNotWoken) {
  const PendingCalls::Id id = Wait("a", Interest("prod", {"web"}, kStart));
  EXPECT_TRUE(pending_.Withdraw(id));
  EXPECT_FALSE(pending_.Withdraw(id));
  PutApplication("web");
  PutStage("prod");
  EXPECT_EQ(pending_.WakeDue(kStart + kSecond), TimePoint::max());
  pending_.Stop();
  EXPECT_THAT(woken_, IsEmpty());
}

TEST_F(PendingCallsTest, WhatWasWokenCannotBeWithdrawed) {
  const PendingCalls::Id id = Wait("a", Interest("prod", {"web"}));
  PutApplication("web");
  EXPECT_FALSE(pending_.Withdraw(id));
  EXPECT_FALSE(pending_.Withdraw(pending_.NewId()));
}

TEST_F(PendingCallsTest, StopWakesAllAndWhoeverComesLater) {
  Wait("a", Interest("prod", {"web"}));
  Wait("b", Interest("test", {}, kStart));
  pending_.Stop();
  EXPECT_THAT(woken_, ::testing::UnorderedElementsAre("a stopping", "b stopping"));
  Wait("c", Interest("prod", {"web"}));
  EXPECT_EQ(woken_.back(), "c stopping");
  EXPECT_EQ(pending_.size(), 0U);
}

TEST_F(PendingCallsTest, AnApplicationNamedTwiceIsOneInterest) {
  Wait("a", Interest("prod", {"web", "web"}));
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(PendingCallsTest, WhoeverIsWokenMayParkAgain) {
  int rounds = 0;
  std::function<void(Reason)> again = [&](Reason) {
    if (++rounds < 3) pending_.Add(pending_.NewId(), Interest("prod", {"web"}), context_, again);
  };
  pending_.Add(pending_.NewId(), Interest("prod", {"web"}), context_, again);
  PutApplication("web");
  EXPECT_EQ(rounds, 1);
  PutApplication("web");
  PutApplication("web");
  PutApplication("web");
  EXPECT_EQ(rounds, 3);
}

TEST_F(PendingCallsTest, TenThousandWaitAndOnlyTheConcernedAreWoken) {
  std::size_t count = 0;
  for (int i = 0; i < 10'000; ++i) {
    pending_.Add(pending_.NewId(),
                 Interest("s" + std::to_string(i), {"app" + std::to_string(i / 10)},
                          kStart + std::chrono::milliseconds(i)),
                 context_, [&](Reason) { ++count; });
  }
  EXPECT_EQ(pending_.size(), 10'000U);
  PutApplication("app7");
  EXPECT_EQ(count, 10U);
  PutStage("s5000");
  EXPECT_EQ(count, 11U);
  pending_.WakeDue(kStart + std::chrono::milliseconds(999));
  EXPECT_EQ(count, 1001U);
  pending_.Stop();
  EXPECT_EQ(count, 10'000U);
  EXPECT_EQ(pending_.size(), 0U);
}

TEST_F(PendingCallsTest, TheTimersThreadWakesWhatIsDueAlsoWhenItComesLater) {
  base::Context stop;
  std::thread timer([&] { pending_.Run(stop); });
  std::latch woken(2);
  // The second one is due before what the timer waits for.
  pending_.Add(
      pending_.NewId(),
      Interest("prod", {}, std::chrono::steady_clock::now() + std::chrono::milliseconds(2)),
      context_, [&](Reason reason) {
        EXPECT_EQ(reason, Reason::kDue);
        woken.count_down();
      });
  pending_.Add(pending_.NewId(), Interest("prod", {}, std::chrono::steady_clock::now()), context_,
               [&](Reason) { woken.count_down(); });
  woken.wait();
  stop.Cancel();
  timer.join();
}

TEST_F(PendingCallsTest, EveryCallIsWokenOnceOrWithdrawedWhateverThreadsDo) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 200;
  std::atomic<int> woken{0};
  std::atomic<int> withdrawn{0};
  base::Context stop;
  std::thread timer([&] { pending_.Run(stop); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        const PendingCalls::Id id = pending_.NewId();
        pending_.Add(id, Interest("s" + std::to_string(i % 5), {"app" + std::to_string(i % 7)}),
                     context_, [&](Reason) { ++woken; });
        if (i % 3 == 0 && pending_.Withdraw(id)) ++withdrawn;
        if (t == 0) pending_.WakeDue(std::chrono::steady_clock::now());
      }
    });
  }
  std::thread changes([&] {
    for (int i = 0; i < kCalls; ++i) {
      PutApplication("app" + std::to_string(i % 7));
      PutStage("s" + std::to_string(i % 5));
    }
  });
  for (std::thread& thread : threads) thread.join();
  changes.join();
  pending_.Stop();
  stop.Cancel();
  timer.join();
  EXPECT_EQ(woken + withdrawn, kThreads * kCalls);
  EXPECT_EQ(pending_.size(), 0U);
}

}  // namespace
}  // namespace gantry::steps
