// SPDX-License-Identifier: Apache-2.0
#include "server/cache/freshness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"

namespace gantry::cache {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(60);

class FreshnessTest : public ::testing::Test {
 protected:
  FreshnessTest() {
    freshness_.SetListener([this] { ++told_; });
  }
  void HearOf(Freshness::Source source) { freshness_.UpToDate(source, clock_.SinceBoot()); }

  testing::FakeClock clock_;
  Freshness freshness_{kLimit, clock_};
  Freshness::Source stages_ = freshness_.AddSource("stagehealths", "namespace gantry");
  Freshness::Source apps_ = freshness_.AddSource("applications", "namespace argocd");
  int told_ = 0;
};

TEST_F(FreshnessTest, WhatWasNeverHeardOfIsStaleAndNotSynced) {
  EXPECT_TRUE(freshness_.Read(apps_).stale);
  EXPECT_FALSE(freshness_.IsSynced(apps_));
  EXPECT_EQ(freshness_.Read(apps_).observed_time, absl::UnixEpoch());
  EXPECT_EQ(freshness_.SyncedAt(apps_), absl::UnixEpoch());
}

TEST_F(FreshnessTest, IsStaleAfterTheLimitAndNotBefore) {
  HearOf(apps_);
  const absl::Time heard = clock_.Now();
  const absl::Duration heard_boot = clock_.SinceBoot();
  clock_.Advance(kLimit);
  Freshness::Reading reading = freshness_.Read(apps_);
  EXPECT_FALSE(reading.stale);
  EXPECT_EQ(reading.age, kLimit);
  EXPECT_EQ(reading.observed_time, heard);
  EXPECT_EQ(reading.stale_at, heard_boot + kLimit);

  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_TRUE(freshness_.Read(apps_).stale);
  EXPECT_EQ(freshness_.Read(apps_).observed_time, heard);
}

TEST_F(FreshnessTest, ReadsEachSourceAtOneMoment) {
  HearOf(stages_);
  const absl::Time heard_of_stages = clock_.Now();
  clock_.Advance(kLimit);
  HearOf(apps_);
  const absl::Time heard_of_apps = clock_.Now();
  clock_.Advance(absl::Seconds(1));
  const std::vector<Freshness::Reading> readings = freshness_.ReadEach();
  ASSERT_EQ(readings.size(), 2U);
  EXPECT_TRUE(readings[stages_].stale);
  EXPECT_FALSE(readings[apps_].stale);
  // Whatever comes later.
  HearOf(stages_);
  EXPECT_EQ(Freshness::Oldest(readings, {apps_}).observed_time, heard_of_apps);
  EXPECT_FALSE(Freshness::Oldest(readings, {apps_}).stale);
  const Freshness::Reading oldest = Freshness::Oldest(readings, {apps_, stages_});
  EXPECT_EQ(oldest.observed_time, heard_of_stages);
  EXPECT_TRUE(oldest.stale);
  EXPECT_EQ(oldest.age, kLimit + absl::Seconds(1));
}

TEST_F(FreshnessTest, TakesTheTimeOfTheReportAndNotOfItsArrival) {
  clock_.Advance(absl::Minutes(1));
  freshness_.UpToDate(apps_, clock_.SinceBoot() - absl::Seconds(20));
  EXPECT_EQ(freshness_.Read(apps_).age, absl::Seconds(20));
  EXPECT_EQ(freshness_.Read(apps_).observed_time, clock_.Now() - absl::Seconds(20));
}

TEST_F(FreshnessTest, OlderReportsChangeNothing) {
  HearOf(apps_);
  const absl::Time heard = clock_.Now();
  freshness_.UpToDate(apps_, clock_.SinceBoot() - absl::Seconds(20));
  EXPECT_EQ(freshness_.Read(apps_).age, absl::ZeroDuration());
  EXPECT_EQ(freshness_.Read(apps_).observed_time, heard);
}

TEST_F(FreshnessTest, AReportFromTheFutureHasNoNegativeAge) {
  freshness_.UpToDate(apps_, clock_.SinceBoot() + absl::Seconds(5));
  EXPECT_EQ(freshness_.Read(apps_).age, absl::ZeroDuration());
}

TEST_F(FreshnessTest, TheOldestOfSeveralCounts) {
  HearOf(stages_);
  const absl::Time first = clock_.Now();
  const absl::Duration first_boot = clock_.SinceBoot();
  clock_.Advance(absl::Seconds(40));
  HearOf(apps_);
  Freshness::Reading reading = freshness_.ReadAll();
  EXPECT_EQ(reading.observed_time, first);
  EXPECT_EQ(reading.age, absl::Seconds(40));
  EXPECT_EQ(reading.stale_at, first_boot + kLimit);
  EXPECT_FALSE(reading.stale);
  clock_.Advance(absl::Seconds(21));
  EXPECT_TRUE(freshness_.ReadAll().stale);
  EXPECT_FALSE(freshness_.Read(std::vector{apps_}).stale);
}

TEST_F(FreshnessTest, OfNothingItIsAsFreshAsCanBe) {
  const Freshness::Reading reading = freshness_.Read(std::vector<Freshness::Source>());
  EXPECT_FALSE(reading.stale);
  EXPECT_EQ(reading.observed_time, clock_.Now());
  EXPECT_EQ(reading.age, absl::ZeroDuration());
  EXPECT_EQ(reading.stale_at, absl::InfiniteDuration());
}

TEST_F(FreshnessTest, TellsWhenASourceIsSyncedOnce) {
  clock_.Advance(absl::Seconds(3));
  freshness_.SetSynced(apps_);
  const absl::Time synced = clock_.Now();
  EXPECT_EQ(told_, 1);
  clock_.Advance(absl::Seconds(3));
  freshness_.SetSynced(apps_);  // a relist
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(freshness_.SyncedAt(apps_), synced);
  EXPECT_FALSE(freshness_.AllSynced());
  freshness_.SetSynced(stages_);
  EXPECT_EQ(told_, 2);
  EXPECT_TRUE(freshness_.AllSynced());
}

TEST_F(FreshnessTest, TellsWhenAStaleSourceIsHeardOfAgain) {
  HearOf(apps_);
  EXPECT_EQ(told_, 1);  // it was never heard of before
  clock_.Advance(absl::Seconds(30));
  HearOf(apps_);
  EXPECT_EQ(told_, 1);
  clock_.Advance(kLimit + absl::Seconds(1));
  HearOf(apps_);
  EXPECT_EQ(told_, 2);
  EXPECT_FALSE(freshness_.Read(apps_).stale);
}

TEST_F(FreshnessTest, SaysInWordsWhatIsMissing) {
  EXPECT_EQ(freshness_.WhyNotSynced(),
            "the first list of stagehealths in namespace gantry is not complete yet");
  // Before its first list a source is not synced rather than stale.
  EXPECT_EQ(freshness_.WhyNotFresh(), "");
  freshness_.SetSynced(stages_);
  HearOf(stages_);
  EXPECT_EQ(freshness_.WhyNotSynced(),
            "the first list of applications in namespace argocd is not complete yet");
  freshness_.SetSynced(apps_);
  HearOf(apps_);
  EXPECT_EQ(freshness_.WhyNotSynced(), "");
  EXPECT_EQ(freshness_.WhyNotFresh(), "");
  clock_.Advance(absl::Milliseconds(61'900));
  HearOf(stages_);
  EXPECT_EQ(freshness_.WhyNotFresh(),
            "nothing was heard of applications in namespace argocd for 1m1s, the limit is 1m");
}

}  // namespace
}  // namespace gantry::cache
