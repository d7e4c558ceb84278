// SPDX-License-Identifier: Apache-2.0
#include "server/steps/parked_calls.h"

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
using Reason = ParkedCalls::Reason;
using TimePoint = ParkedCalls::TimePoint;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TimePoint kStart = TimePoint() + std::chrono::hours(1);
constexpr std::chrono::seconds kSecond{1};

class ParkedCallsTest : public ::testing::Test {
 protected:
  ParkedCallsTest() {
    watches_.caches.applications.SetListener(
        [this](const argocd::ApplicationName& name) { parked_.ApplicationChanged(name); });
    watches_.caches.stages.SetListener(
        [this](const cache::StageName& name) { parked_.StageChanged(name); });
  }

  void PutApplication(const std::string& name) {
    const std::string version = std::to_string(++version_);
    watches_.PutApplication({{"metadata",
                              {{"namespace", "argocd"},
                               {"name", name},
                               {"uid", name},
                               {"resourceVersion", version},
                               {"labels", {{"version", version}}}}}});
  }
  void PutStage(const std::string& stage) {
    const std::string version = std::to_string(++version_);
    watches_.PutStage(
        {{"metadata", {{"name", "shop." + stage}, {"uid", stage}, {"resourceVersion", version}}},
         {"spec", {{"promotion", {{"name", "p" + version}, {"phase", "Running"}}}}}});
  }

  ParkedCalls::Interest Interest(const std::string& stage,
                                 const std::vector<std::string>& applications,
                                 TimePoint due = TimePoint::max()) const {
    ParkedCalls::Interest interest{{"shop", stage}, {}, parked_.Now(), due};
    for (const std::string& name : applications) interest.applications.push_back({"argocd", name});
    return interest;
  }
  // What it is woken with is appended to `woken_` under `name`.
  ParkedCalls::Wake Waker(const std::string& name) {
    return [this, name](Reason reason) {
      const char* const words[] = {"changed", "due", "stopping"};
      woken_.push_back(name + " " + words[static_cast<int>(reason)]);
    };
  }
  ParkedCalls::Id Park(const std::string& name, ParkedCalls::Interest interest) {
    const ParkedCalls::Id id = parked_.NewId();
    parked_.Park(id, std::move(interest), context_, Waker(name));
    return id;
  }

  testing::FakeClock clock_;
  testing::WatchedCaches watches_{{"argocd"}, clock_};
  ParkedCalls parked_{watches_.caches};
  base::Context context_;
  std::vector<std::string> woken_;
  int version_ = 0;
};

TEST_F(ParkedCallsTest, AChangeOfAnApplicationWakesTheCallsThatWaitForItOnce) {
  Park("a", Interest("prod", {"web", "api"}));
  Park("b", Interest("test", {"api"}));
  Park("c", Interest("docs", {"docs"}));
  EXPECT_EQ(parked_.size(), 3U);
  PutApplication("stray");
  EXPECT_THAT(woken_, IsEmpty());
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
  PutApplication("api");
  EXPECT_THAT(woken_, ElementsAre("a changed", "b changed"));
  PutApplication("web");
  PutApplication("api");
  EXPECT_EQ(woken_.size(), 2U);
  EXPECT_EQ(parked_.size(), 1U);
}

TEST_F(ParkedCallsTest, AnApplicationThatIsDeletedWakes) {
  PutApplication("web");
  Park("a", Interest("prod", {"web"}));
  watches_.DeleteApplication(
      {{"metadata",
        {{"namespace", "argocd"}, {"name", "web"}, {"uid", "web"}, {"resourceVersion", "9"}}}});
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(ParkedCallsTest, AChangeOfItsStageWakes) {
  Park("a", Interest("prod", {"web"}));
  Park("b", Interest("prod", {}));
  Park("c", Interest("test", {"web"}));
  PutStage("prod");
  EXPECT_THAT(woken_, ElementsAre("a changed", "b changed"));
  EXPECT_EQ(parked_.size(), 1U);
}

TEST_F(ParkedCallsTest, WakesWhatIsDueAndTellsWhenTheNextIs) {
  EXPECT_EQ(parked_.WakeDue(kStart), TimePoint::max());
  Park("late", Interest("prod", {}, kStart + 3 * kSecond));
  Park("early", Interest("prod", {}, kStart + kSecond));
  Park("never", Interest("prod", {}));
  EXPECT_EQ(parked_.WakeDue(kStart), kStart + kSecond);
  EXPECT_THAT(woken_, IsEmpty());
  EXPECT_EQ(parked_.WakeDue(kStart + kSecond), kStart + 3 * kSecond);
  EXPECT_THAT(woken_, ElementsAre("early due"));
  EXPECT_EQ(parked_.WakeDue(kStart + 10 * kSecond), TimePoint::max());
  EXPECT_THAT(woken_, ElementsAre("early due", "late due"));
}

TEST_F(ParkedCallsTest, CallsDueAtTheSameTimeAreAllWoken) {
  for (const char* name : {"a", "b", "c"}) Park(name, Interest("prod", {"web"}, kStart));
  parked_.WakeDue(kStart);
  EXPECT_THAT(woken_, ElementsAre("a due", "b due", "c due"));
  PutApplication("web");
  EXPECT_EQ(woken_.size(), 3U);
}

TEST_F(ParkedCallsTest, AChangeBetweenJudgingAndParkingWakesAtOnce) {
  PutApplication("web");
  PutStage("prod");
  const ParkedCalls::Interest judged = Interest("prod", {"api", "web"});
  PutApplication("stray");
  Park("unconcerned", judged);
  EXPECT_THAT(woken_, IsEmpty());
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("unconcerned changed"));
  Park("application", judged);
  EXPECT_THAT(woken_, ElementsAre("unconcerned changed", "application changed"));
  const ParkedCalls::Interest later = Interest("prod", {"api", "web"});
  PutStage("prod");
  Park("stage", later);
  EXPECT_EQ(woken_.back(), "stage changed");
  EXPECT_EQ(parked_.size(), 0U);
}

TEST_F(ParkedCallsTest, ADeletionBetweenJudgingAndParkingWakesAtOnce) {
  PutApplication("web");
  const ParkedCalls::Interest judged = Interest("prod", {"web"});
  watches_.DeleteApplication(
      {{"metadata",
        {{"namespace", "argocd"}, {"name", "web"}, {"uid", "web"}, {"resourceVersion", "9"}}}});
  Park("a", judged);
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(ParkedCallsTest, ACallWhoseContextHasEndedIsWokenAtOnce) {
  context_.Cancel();
  Park("a", Interest("prod", {"web"}));
  EXPECT_THAT(woken_, ElementsAre("a due"));
  EXPECT_EQ(parked_.size(), 0U);
}

TEST_F(ParkedCallsTest, WhatIsUnparkedIsNotWoken) {
  const ParkedCalls::Id id = Park("a", Interest("prod", {"web"}, kStart));
  EXPECT_TRUE(parked_.Unpark(id));
  EXPECT_FALSE(parked_.Unpark(id));
  PutApplication("web");
  PutStage("prod");
  EXPECT_EQ(parked_.WakeDue(kStart + kSecond), TimePoint::max());
  parked_.Stop();
  EXPECT_THAT(woken_, IsEmpty());
}

TEST_F(ParkedCallsTest, WhatWasWokenCannotBeUnparked) {
  const ParkedCalls::Id id = Park("a", Interest("prod", {"web"}));
  PutApplication("web");
  EXPECT_FALSE(parked_.Unpark(id));
  EXPECT_FALSE(parked_.Unpark(parked_.NewId()));
}

TEST_F(ParkedCallsTest, StopWakesAllAndWhoeverComesLater) {
  Park("a", Interest("prod", {"web"}));
  Park("b", Interest("test", {}, kStart));
  parked_.Stop();
  EXPECT_THAT(woken_, ::testing::UnorderedElementsAre("a stopping", "b stopping"));
  Park("c", Interest("prod", {"web"}));
  EXPECT_EQ(woken_.back(), "c stopping");
  EXPECT_EQ(parked_.size(), 0U);
}

TEST_F(ParkedCallsTest, AnApplicationNamedTwiceIsOneInterest) {
  Park("a", Interest("prod", {"web", "web"}));
  PutApplication("web");
  EXPECT_THAT(woken_, ElementsAre("a changed"));
}

TEST_F(ParkedCallsTest, WhoeverIsWokenMayParkAgain) {
  int rounds = 0;
  std::function<void(Reason)> again = [&](Reason) {
    if (++rounds < 3) parked_.Park(parked_.NewId(), Interest("prod", {"web"}), context_, again);
  };
  parked_.Park(parked_.NewId(), Interest("prod", {"web"}), context_, again);
  PutApplication("web");
  EXPECT_EQ(rounds, 1);
  PutApplication("web");
  PutApplication("web");
  PutApplication("web");
  EXPECT_EQ(rounds, 3);
}

TEST_F(ParkedCallsTest, TenThousandWaitAndOnlyTheConcernedAreWoken) {
  std::size_t count = 0;
  for (int i = 0; i < 10'000; ++i) {
    parked_.Park(parked_.NewId(),
                 Interest("s" + std::to_string(i), {"app" + std::to_string(i / 10)},
                          kStart + std::chrono::milliseconds(i)),
                 context_, [&](Reason) { ++count; });
  }
  EXPECT_EQ(parked_.size(), 10'000U);
  PutApplication("app7");
  EXPECT_EQ(count, 10U);
  PutStage("s5000");
  EXPECT_EQ(count, 11U);
  parked_.WakeDue(kStart + std::chrono::milliseconds(999));
  EXPECT_EQ(count, 1001U);
  parked_.Stop();
  EXPECT_EQ(count, 10'000U);
  EXPECT_EQ(parked_.size(), 0U);
}

TEST_F(ParkedCallsTest, TheTimersThreadWakesWhatIsDueAlsoWhenItComesLater) {
  base::Context stop;
  std::thread timer([&] { parked_.Run(stop); });
  std::latch woken(2);
  // The second one is due before what the timer waits for.
  parked_.Park(
      parked_.NewId(),
      Interest("prod", {}, std::chrono::steady_clock::now() + std::chrono::milliseconds(2)),
      context_, [&](Reason reason) {
        EXPECT_EQ(reason, Reason::kDue);
        woken.count_down();
      });
  parked_.Park(parked_.NewId(), Interest("prod", {}, std::chrono::steady_clock::now()), context_,
               [&](Reason) { woken.count_down(); });
  woken.wait();
  stop.Cancel();
  timer.join();
}

TEST_F(ParkedCallsTest, EveryCallIsWokenOnceOrUnparkedWhateverThreadsDo) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 200;
  std::atomic<int> woken{0};
  std::atomic<int> unparked{0};
  base::Context stop;
  std::thread timer([&] { parked_.Run(stop); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        const ParkedCalls::Id id = parked_.NewId();
        parked_.Park(id, Interest("s" + std::to_string(i % 5), {"app" + std::to_string(i % 7)}),
                     context_, [&](Reason) { ++woken; });
        if (i % 3 == 0 && parked_.Unpark(id)) ++unparked;
        if (t == 0) parked_.WakeDue(std::chrono::steady_clock::now());
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
  parked_.Stop();
  stop.Cancel();
  timer.join();
  EXPECT_EQ(woken + unparked, kThreads * kCalls);
  EXPECT_EQ(parked_.size(), 0U);
}

}  // namespace
}  // namespace gantry::steps
