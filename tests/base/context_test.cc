// SPDX-License-Identifier: Apache-2.0
#include "base/context.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace gantry::base {
namespace {

bool IsReadable(int fd) {
  pollfd waited{fd, POLLIN, 0};
  return poll(&waited, 1, 0) == 1 && (waited.revents & POLLIN) != 0;
}

TEST(ContextTest, WithoutDeadlineItGoesOnForEver) {
  Context context;
  EXPECT_TRUE(context.Check().ok());
  EXPECT_FALSE(context.cancelled());
  EXPECT_EQ(context.Remaining(), absl::InfiniteDuration());
  EXPECT_EQ(context.deadline(), Context::TimePoint::max());
}

TEST(ContextTest, APassedDeadlineEndsIt) {
  Context context(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(context.Check()));
  EXPECT_EQ(context.Remaining(), absl::ZeroDuration());
  EXPECT_FALSE(context.cancelled());
}

TEST(ContextTest, ATimeoutBelowZeroEndsItAtOnce) {
  Context context(-absl::InfiniteDuration());
  EXPECT_TRUE(absl::IsDeadlineExceeded(context.Check()));
}

TEST(ContextTest, AVeryLongTimeoutDoesNotOverflow) {
  for (const absl::Duration timeout : {absl::Hours(24 * 365 * 1000), absl::InfiniteDuration()}) {
    Context context(timeout);
    EXPECT_TRUE(context.Check().ok());
    EXPECT_GT(context.Remaining(), absl::Hours(24));
  }
}

TEST(ContextTest, RemainingIsNeverMoreThanTheTimeout) {
  Context context(absl::Hours(1));
  EXPECT_GT(context.Remaining(), absl::ZeroDuration());
  EXPECT_LE(context.Remaining(), absl::Hours(1));
}

TEST(ContextTest, CancellationComesBeforeTheDeadline) {
  Context context(absl::ZeroDuration());
  context.Cancel();
  EXPECT_TRUE(absl::IsCancelled(context.Check()));
}

TEST(ContextTest, CancellingTwiceIsTheSameAsOnce) {
  Context context;
  context.Cancel();
  context.Cancel();
  EXPECT_TRUE(absl::IsCancelled(context.Check()));
  EXPECT_TRUE(IsReadable(context.fd()));
}

TEST(ContextTest, ItsDescriptorIsReadableFromCancellationOn) {
  Context asked_before;
  const int fd = asked_before.fd();
  EXPECT_FALSE(IsReadable(fd));
  asked_before.Cancel();
  EXPECT_TRUE(IsReadable(fd));
  EXPECT_EQ(asked_before.fd(), fd);

  Context asked_after;
  asked_after.Cancel();
  EXPECT_TRUE(IsReadable(asked_after.fd()));
}

TEST(ContextTest, CancellationWakesWhoeverPolls) {
  Context context;
  const int fd = context.fd();
  std::thread waiting([fd] {
    pollfd waited{fd, POLLIN, 0};
    EXPECT_EQ(poll(&waited, 1, -1), 1);
  });
  context.Cancel();
  waiting.join();
}

TEST(ContextTest, AChildHasTheEarlierOfBothDeadlines) {
  Context parent(absl::Hours(1));
  Context shorter(parent, absl::Minutes(1));
  Context longer(parent, absl::Hours(2));
  EXPECT_LT(shorter.deadline(), parent.deadline());
  EXPECT_EQ(longer.deadline(), parent.deadline());

  Context unlimited;
  Context limited(unlimited, absl::Minutes(1));
  EXPECT_LE(limited.Remaining(), absl::Minutes(1));
}

TEST(ContextTest, AChildIsCancelledWithItsParentAndSharesItsDescriptor) {
  Context parent;
  Context child(parent, absl::Hours(1));
  EXPECT_EQ(child.fd(), parent.fd());
  EXPECT_FALSE(IsReadable(child.fd()));
  parent.Cancel();
  EXPECT_TRUE(absl::IsCancelled(child.Check()));
  EXPECT_TRUE(IsReadable(child.fd()));
}

TEST(ContextTest, AParentDoesNotEndWithItsChild) {
  Context parent;
  Context child(parent, absl::ZeroDuration());
  EXPECT_TRUE(absl::IsDeadlineExceeded(child.Check()));
  EXPECT_TRUE(parent.Check().ok());
}

TEST(SystemSleeperTest, EndsByItself) {
  Context context;
  EXPECT_TRUE(SystemSleeper().Sleep(absl::ZeroDuration(), context).ok());
  EXPECT_TRUE(SystemSleeper().Sleep(absl::Milliseconds(1), context).ok());
}

TEST(SystemSleeperTest, CancellationEndsIt) {
  Context context;
  std::thread canceller([&] { context.Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(SystemSleeper().Sleep(absl::InfiniteDuration(), context)));
  canceller.join();
}

TEST(SystemSleeperTest, TheDeadlineEndsIt) {
  Context context(absl::Milliseconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(SystemSleeper().Sleep(absl::Hours(1), context)));
}

TEST(SystemSleeperTest, AnEndedContextIsToldEvenWithoutAnythingToWaitFor) {
  Context context;
  context.Cancel();
  EXPECT_TRUE(absl::IsCancelled(SystemSleeper().Sleep(absl::ZeroDuration(), context)));
}

}  // namespace
}  // namespace gantry::base
