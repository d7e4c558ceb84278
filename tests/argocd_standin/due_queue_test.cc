// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/due_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/fakes/fake_clock.h"

namespace gantry::argocd_standin {
namespace {

using gantry::testing::FakeClock;

class DueQueueTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  DueQueue<std::string> queue_{clock_};
};

TEST_F(DueQueueTest, HandsOutWhatIsDueInItsOrder) {
  queue_.Add("late", absl::Seconds(2));
  queue_.Add("early", absl::Seconds(1));
  EXPECT_EQ(queue_.TryNext(), std::nullopt);
  EXPECT_EQ(queue_.TimeLeft(), absl::Seconds(1));
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(queue_.TryNext(), "early");
  EXPECT_EQ(queue_.TryNext(), "late");
  EXPECT_EQ(queue_.TryNext(), std::nullopt);
  EXPECT_EQ(queue_.TimeLeft(), absl::InfiniteDuration());
}

TEST_F(DueQueueTest, AKeyIsHandedOutOnceAtItsEarliestTime) {
  queue_.Add("a", absl::Seconds(2));
  queue_.Add("a", absl::Seconds(1));
  queue_.Add("a", absl::Seconds(3));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(queue_.TryNext(), "a");
  queue_.Done("a");
  clock_.Advance(absl::Seconds(9));
  EXPECT_EQ(queue_.TryNext(), std::nullopt);
}

TEST_F(DueQueueTest, AKeyThatIsWorkedOnWaitsUntilThatIsDone) {
  queue_.Add("a");
  EXPECT_EQ(queue_.TryNext(), "a");
  queue_.Add("a");
  EXPECT_EQ(queue_.TryNext(), std::nullopt);
  queue_.Add("b");
  EXPECT_EQ(queue_.TryNext(), "b");
  queue_.Done("a");
  EXPECT_EQ(queue_.TryNext(), "a");
}

TEST_F(DueQueueTest, AddingWakesAWaiter) {
  std::optional<std::string> got;
  std::thread waiter([&] { got = queue_.Next(); });
  queue_.Add("a");
  waiter.join();
  EXPECT_EQ(got, "a");
}

TEST_F(DueQueueTest, ClosingEndsTheWaiting) {
  queue_.Add("later", absl::Hours(1));
  std::optional<std::string> got = "something";
  std::thread waiter([&] { got = queue_.Next(); });
  queue_.Close();
  waiter.join();
  EXPECT_EQ(got, std::nullopt);
}

}  // namespace
}  // namespace gantry::argocd_standin
