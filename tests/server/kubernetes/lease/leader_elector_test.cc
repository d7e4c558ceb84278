// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/lease/leader_elector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/kubernetes/api/error.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/server/kubernetes/fakes.h"

namespace gantry::kubernetes {
namespace {

using gantry::testing::FakeKubernetes;
using nlohmann::json;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kBeginText[] = "2023-11-14T22:13:20.000000Z";  // what FakeClock begins with

absl::Status Unreachable() {
  return MakeError({.kind = ErrorKind::kUnreachable, .outcome = WriteOutcome::kUnknown},
                   "the line is dead");
}

void WaitForEnd(base::Context& term) {
  pollfd waited{term.fd(), POLLIN, 0};
  while (poll(&waited, 1, -1) != 1) {
  }
}

// Runs an elector on the test's thread. Its sleeps end at once; before each of them ends, the next
// of `steps` is done, and after the last one the context is cancelled.
class LeaderElectorTest : public ::testing::Test {
 protected:
  using Step = std::function<void()>;

  LeaderElectorTest() {
    options_.ns = "gantry";
    options_.name = "leader";
    options_.identity = "me";
    options_.clock = &clock_;
    options_.sleeper = &sleeper_;
    options_.random = &random_;
    options_.on_message = [this](std::string_view message) { messages_.emplace_back(message); };
  }

  void Run(std::vector<Step> steps) {
    sleeper_.before_waking = [this, steps = std::move(steps), next = std::size_t{0}]() mutable {
      if (next < steps.size()) {
        steps[next++]();
      } else {
        context_.Cancel();
      }
    };
    elector_ = std::make_unique<LeaderElector>(kubernetes_, options_);
    elector_->Run(lead_, context_);
    EXPECT_FALSE(elector_->IsLeader());
  }
  Step Nothing() {
    return [] {};
  }
  Step ExpectLeading(bool leading) {
    return [this, leading] { EXPECT_EQ(elector_->IsLeader(), leading); };
  }

  void Put(json spec) {
    kubernetes_.Put("leases", {{"apiVersion", "coordination.k8s.io/v1"},
                               {"kind", "Lease"},
                               {"metadata", {{"namespace", "gantry"}, {"name", "leader"}}},
                               {"spec", std::move(spec)}});
  }
  json Others() const {
    return {{"holderIdentity", "other"},
            {"leaseDurationSeconds", 15},
            {"leaseTransitions", 3},
            {"acquireTime", "2001-01-01T00:00:00.000000Z"},
            {"renewTime", "2001-01-01T00:00:00.000000Z"}};
  }
  json Spec() { return kubernetes_.Read("leases", "gantry", "leader")["spec"]; }
  std::size_t Writes() {
    return kubernetes_.Count("create", "leases") + kubernetes_.Count("update", "leases");
  }

  FakeClock clock_;
  FakeSleeper sleeper_{clock_};
  FixedRandom random_{0.5};
  LeaderElectorOptions options_;
  FakeKubernetes kubernetes_;
  base::Context context_;
  std::unique_ptr<LeaderElector> elector_;
  std::atomic<int> terms_ = 0;
  std::function<void(base::Context&)> lead_ = [this](base::Context& term) {
    ++terms_;
    WaitForEnd(term);
  };
  std::vector<std::string> messages_;
};

// Of a fixed random number of one half.
constexpr absl::Duration kRetry = absl::Milliseconds(3200);
constexpr absl::Duration kRenewal = absl::Seconds(2);

TEST_F(LeaderElectorTest, MakesALeaseThatIsNotThere) {
  json spec;
  Run({[&] {
    EXPECT_TRUE(elector_->IsLeader());
    spec = Spec();
  }});
  EXPECT_EQ(spec, json({{"holderIdentity", "me"},
                        {"leaseDurationSeconds", 15},
                        {"leaseTransitions", 0},
                        {"acquireTime", kBeginText},
                        {"renewTime", kBeginText}}));
  EXPECT_EQ(terms_, 1);
}

TEST_F(LeaderElectorTest, TakesALeaseThatNobodyHolds) {
  for (const json& free :
       std::vector<json>{nullptr,
                         json::object(),
                         {{"holderIdentity", nullptr}},
                         {{"holderIdentity", ""}, {"leaseDurationSeconds", 1}}}) {
    base::Context context;
    Put(free);
    sleeper_.before_waking = [&] {
      EXPECT_TRUE(elector_->IsLeader()) << free;
      EXPECT_EQ(Spec()["leaseTransitions"], 1) << free;
      context.Cancel();
    };
    elector_ = std::make_unique<LeaderElector>(kubernetes_, options_);
    elector_->Run(lead_, context);
  }
  EXPECT_EQ(terms_, 4);
}

TEST_F(LeaderElectorTest, RenewsWhileItLeads) {
  std::vector<std::string> renewals;
  const Step note = [&] {
    EXPECT_TRUE(elector_->IsLeader());
    EXPECT_EQ(Spec()["acquireTime"], kBeginText);
    EXPECT_EQ(Spec()["leaseTransitions"], 0);
    renewals.push_back(Spec()["renewTime"]);
  };
  Run({note, note, note});
  EXPECT_THAT(renewals, ElementsAre(kBeginText, "2023-11-14T22:13:22.000000Z",
                                    "2023-11-14T22:13:24.000000Z"));
  EXPECT_THAT(sleeper_.delays, Each(kRenewal));
  EXPECT_EQ(terms_, 1);
}

TEST_F(LeaderElectorTest, TimesHaveSixFractionalDigits) {
  clock_.Advance(absl::Microseconds(7));
  Run({[&] { EXPECT_EQ(Spec()["renewTime"], "2023-11-14T22:13:20.000007Z"); }});
}

// What the other's clock says makes no difference.
TEST_F(LeaderElectorTest, WaitsUntilAnothersLeaseIsSeenToExpire) {
  for (const std::string time : {"2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"}) {
    base::Context context;
    json spec = Others();
    spec["renewTime"] = time;
    Put(spec);
    sleeper_.delays.clear();
    sleeper_.before_waking = [&] {
      if (!elector_->IsLeader()) return;
      EXPECT_EQ(Spec()["holderIdentity"], "me");
      EXPECT_EQ(Spec()["leaseTransitions"], 4);
      context.Cancel();
    };
    elector_ = std::make_unique<LeaderElector>(kubernetes_, options_);
    elector_->Run(lead_, context);
    // Seen at 0 s, not renewed at 16 s.
    EXPECT_THAT(sleeper_.delays, ElementsAre(kRetry, kRetry, kRetry, kRetry, kRetry, kRenewal));
  }
}

TEST_F(LeaderElectorTest, AnotherThatRenewsKeepsTheLease) {
  json spec = Others();
  Put(spec);
  std::vector<Step> steps;
  for (int i = 0; i < 20; ++i) {
    steps.emplace_back([&, i] {
      EXPECT_FALSE(elector_->IsLeader());
      spec["renewTime"] = "2001-01-01T00:00:00.0000" + std::to_string(10 + i) + "Z";
      if (i % 4 == 0) Put(spec);
    });
  }
  Run(steps);
  EXPECT_EQ(terms_, 0);
  EXPECT_EQ(Writes(), 0U);
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("is held by \"other\"")));
}

TEST_F(LeaderElectorTest, TheDurationInTheRecordCounts) {
  json spec = Others();
  spec["leaseDurationSeconds"] = 3;
  Put(spec);
  Run({Nothing(), ExpectLeading(true)});
  EXPECT_EQ(terms_, 1);
}

TEST_F(LeaderElectorTest, StopsLeadingWhenRenewalsFail) {
  std::vector<bool> leading;
  lead_ = [&](base::Context& term) {
    WaitForEnd(term);
    leading.push_back(elector_->IsLeader());
    context_.Cancel();
  };
  const Step fail = [&] {
    EXPECT_TRUE(elector_->IsLeader());
    kubernetes_.before = [](const auto&) { return Unreachable(); };
  };
  Run({fail, fail, fail, fail, fail});
  // Ten seconds after the last renewal, which was the first write.
  EXPECT_THAT(sleeper_.delays, ElementsAre(kRenewal, kRenewal, kRenewal, kRenewal, kRenewal));
  EXPECT_THAT(leading, ElementsAre(false));
  EXPECT_THAT(messages_, Contains(HasSubstr("could not be renewed for 10s")));
}

TEST_F(LeaderElectorTest, TheLastRetryEndsWithTheTerm) {
  options_.retry_period = absl::Seconds(4);
  lead_ = [&](base::Context& term) {
    WaitForEnd(term);
    context_.Cancel();
  };
  Run({[&] { kubernetes_.before = [](const auto&) { return Unreachable(); }; }, Nothing(),
       Nothing()});
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(4), absl::Seconds(4), absl::Seconds(2)));
}

TEST_F(LeaderElectorTest, LeadsAgainAfterATermThatWasLost) {
  const Step fail = [&] { kubernetes_.before = [](const auto&) { return Unreachable(); }; };
  const Step recover = [&] {
    EXPECT_FALSE(elector_->IsLeader());
    kubernetes_.before = [](const auto&) { return absl::OkStatus(); };
  };
  Run({fail, fail, fail, fail, fail, recover, ExpectLeading(true)});
  EXPECT_EQ(terms_, 2);
}

TEST_F(LeaderElectorTest, StopsLeadingAtOnceWhenAnotherHoldsTheLease) {
  lead_ = [&](base::Context& term) {
    WaitForEnd(term);
    EXPECT_FALSE(elector_->IsLeader());
    context_.Cancel();
  };
  Run({[&] { Put(Others()); }});
  EXPECT_THAT(sleeper_.delays, ElementsAre(kRenewal));
  EXPECT_EQ(Spec(), Others()) << "what another holds is not given up";
}

TEST_F(LeaderElectorTest, IsLeaderIsJudgedByTheClock) {
  Run({[&] {
    clock_.Advance(absl::Seconds(10) - absl::Nanoseconds(1));
    EXPECT_TRUE(elector_->IsLeader());
    clock_.Advance(absl::Nanoseconds(1));
    EXPECT_FALSE(elector_->IsLeader()) << "although the elector has not woken up to see it";
  }});
}

// The write's time is when it was sent, not when its answer came.
TEST_F(LeaderElectorTest, ATermThatIsOverWhenItsWriteIsAnsweredIsNotBegun) {
  kubernetes_.after = [&](const FakeKubernetes::Call& call) {
    if (call.verb != "get") clock_.Advance(absl::Minutes(1));
    return absl::OkStatus();
  };
  Run({ExpectLeading(false), ExpectLeading(false)});
  EXPECT_EQ(terms_, 0);
  EXPECT_EQ(Spec()["holderIdentity"], "");
}

TEST_F(LeaderElectorTest, AConflictIsTriedAgain) {
  int conflicts = 0;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (call.verb == "update" && conflicts++ == 0) {
      json spec = Spec();
      spec["someField"] = 1;
      Put(spec);
    }
    return absl::OkStatus();
  };
  Run({Nothing(), ExpectLeading(true), [&] {
         EXPECT_TRUE(elector_->IsLeader());
         EXPECT_EQ(Spec()["renewTime"], "2023-11-14T22:13:24.000000Z");
         EXPECT_EQ(Spec()["someField"], 1);
       }});
  EXPECT_EQ(terms_, 1);
  EXPECT_THAT(messages_, Contains(HasSubstr("the object has been modified")));
}

TEST_F(LeaderElectorTest, TheFasterOneOfTwoGetsTheLease) {
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (call.verb == "create") Put(Others());
    return absl::OkStatus();
  };
  Run({ExpectLeading(false), ExpectLeading(false)});
  EXPECT_EQ(terms_, 0);
  EXPECT_EQ(Spec(), Others());
}

TEST_F(LeaderElectorTest, ALeaseThatWasDeletedIsMadeAgain) {
  Run({[&] { kubernetes_.Remove("leases", "gantry", "leader"); },
       [&] {
         EXPECT_TRUE(elector_->IsLeader());
         EXPECT_EQ(Spec()["holderIdentity"], "me");
       }});
  EXPECT_EQ(terms_, 1);
}

TEST_F(LeaderElectorTest, GivesTheLeaseUpAfterLeadHasReturned) {
  lead_ = [&](base::Context& term) {
    WaitForEnd(term);
    EXPECT_EQ(Spec()["holderIdentity"], "me");
  };
  Run({Nothing()});
  EXPECT_EQ(Spec(), json({{"holderIdentity", ""},
                          {"leaseDurationSeconds", 1},
                          {"leaseTransitions", 0},
                          {"acquireTime", "2023-11-14T22:13:22.000000Z"},
                          {"renewTime", "2023-11-14T22:13:22.000000Z"}}));
}

TEST_F(LeaderElectorTest, ALeaseThatCannotBeGivenUpIsTold) {
  Run({[&] {
    kubernetes_.before = [&](const auto&) {
      return context_.cancelled() ? Unreachable() : absl::OkStatus();
    };
  }});
  EXPECT_EQ(Spec()["holderIdentity"], "me");
  EXPECT_THAT(messages_, Contains(HasSubstr("could not be given up and will expire")));
}

TEST_F(LeaderElectorTest, AWriteOfUnknownOutcomeIsGivenUpToo) {
  kubernetes_.after = [](const FakeKubernetes::Call& call) {
    return call.verb == "create" ? Unreachable() : absl::OkStatus();
  };
  Run({});
  EXPECT_EQ(terms_, 0);
  EXPECT_EQ(Spec()["holderIdentity"], "");
}

TEST_F(LeaderElectorTest, WhatItNeverHeldIsNotTouched) {
  Put(Others());
  Run({Nothing()});
  EXPECT_EQ(Spec(), Others());
  EXPECT_EQ(Writes(), 0U);
}

TEST_F(LeaderElectorTest, LeadThatReturnsByItselfGivesTheLeaseUp) {
  std::atomic<bool> returned = false;
  lead_ = [&](base::Context&) {
    ++terms_;
    returned = true;
    returned.notify_all();
  };
  const Step wait = [&] { returned.wait(false); };
  std::vector<std::string> holders;
  // The elector may look before the thread has quite ended, and then looks again.
  sleeper_.before_waking = [&] {
    wait();
    holders.push_back(Spec()["holderIdentity"]);
    if (holders.back().empty()) context_.Cancel();
  };
  elector_ = std::make_unique<LeaderElector>(kubernetes_, options_);
  elector_->Run(lead_, context_);
  EXPECT_EQ(terms_, 1);
  EXPECT_EQ(holders.back(), "");
  EXPECT_EQ(sleeper_.delays.back(), kRetry);
}

struct MalformedCase {
  const char* name;
  json spec;
  std::string message;
};
void PrintTo(const MalformedCase& test, std::ostream* out) { *out << test.name; }

class MalformedLeaseTest : public LeaderElectorTest,
                           public ::testing::WithParamInterface<MalformedCase> {};

TEST_P(MalformedLeaseTest, IsNotTaken) {
  Put(GetParam().spec);
  Run({ExpectLeading(false), ExpectLeading(false)});
  EXPECT_EQ(terms_, 0);
  EXPECT_EQ(Writes(), 0U);
  EXPECT_THAT(messages_, ElementsAre(HasSubstr(GetParam().message))) << "said once";
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedLeaseTest,
    ::testing::ValuesIn(std::vector<MalformedCase>{
        {"SpecANumber", 7, "Lease gantry/leader has a spec that is not an object; delete it"},
        {"SpecAnArray", json::array(), "a spec that is not an object"},
        {"HolderANumber", {{"holderIdentity", 7}}, "spec.holderIdentity that is not a string"},
    }),
    [](const auto& test) { return test.param.name; });

TEST_F(LeaderElectorTest, OtherFieldsThatAreMalformedAreReplaced) {
  Put({{"holderIdentity", ""},
       {"leaseTransitions", "many"},
       {"leaseDurationSeconds", -1},
       {"acquireTime", 7}});
  Run({[&] {
    EXPECT_TRUE(elector_->IsLeader());
    EXPECT_EQ(Spec()["leaseTransitions"], 1);
    EXPECT_EQ(Spec()["leaseDurationSeconds"], 15);
    EXPECT_EQ(Spec()["acquireTime"], kBeginText);
  }});
}

TEST_F(LeaderElectorTest, AnAnswerThatIsNoLeaseIsNotTaken) {
  Put(Others());
  kubernetes_.after = [&](const FakeKubernetes::Call&) -> absl::Status {
    return MakeError({.kind = ErrorKind::kMalformedResponse}, "is not a JSON object");
  };
  Run({ExpectLeading(false)});
  EXPECT_EQ(Writes(), 0U);
}

// Answers like the other client until it is told to hang: then a call ends with its context alone.
class HangingClient final : public Client {
 public:
  explicit HangingClient(Client& client) : client_(client) {}
  std::atomic<bool> hangs = false;

  absl::StatusOr<JsonText> Get(const Resource& resource, std::string_view ns, std::string_view name,
                               base::Context& context) override {
    if (hangs) {
      absl::Status ended = base::SystemSleeper().Sleep(absl::InfiniteDuration(), context);
      return MakeError(
          {.kind = absl::IsCancelled(ended) ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded},
          "hung");
    }
    return client_.Get(resource, ns, name, context);
  }
  absl::StatusOr<JsonText> Create(const Resource& resource, std::string_view ns,
                                  std::string_view name, std::string_view body,
                                  base::Context& context) override {
    return client_.Create(resource, ns, name, body, context);
  }
  absl::StatusOr<JsonText> Replace(const Resource& resource, std::string_view ns,
                                   std::string_view name, std::string_view body,
                                   base::Context& context) override {
    return client_.Replace(resource, ns, name, body, context);
  }
  absl::StatusOr<std::string> List(const Resource&, std::string_view, const ListOptions&,
                                   absl::FunctionRef<absl::Status(simdjson::padded_string_view)>,
                                   absl::FunctionRef<void()>, base::Context&) override {
    return absl::UnimplementedError("not used");
  }
  absl::StatusOr<JsonText> JsonPatch(const Resource&, std::string_view, std::string_view,
                                     std::string_view, base::Context&) override {
    return absl::UnimplementedError("not used");
  }
  absl::StatusOr<JsonText> MergePatch(const Resource&, std::string_view, std::string_view,
                                      std::string_view, std::string_view, base::Context&) override {
    return absl::UnimplementedError("not used");
  }
  absl::Status Delete(const Resource&, std::string_view, std::string_view,
                      base::Context&) override {
    return absl::UnimplementedError("not used");
  }

 private:
  Client& client_;
};

// On the real clock, for the time limit of a call is real.
TEST_F(LeaderElectorTest, ARenewalThatHangsEndsTheTerm) {
  options_.clock = &base::SystemClock();
  options_.sleeper = &base::SystemSleeper();
  options_.lease_duration = absl::Seconds(1);
  options_.renew_deadline = absl::Milliseconds(300);
  options_.retry_period = absl::Milliseconds(10);
  HangingClient client(kubernetes_);
  LeaderElector elector(client, options_);
  std::atomic<bool> led = false;
  elector.Run(
      [&](base::Context& term) {
        client.hangs = true;
        WaitForEnd(term);
        EXPECT_FALSE(elector.IsLeader());
        led = true;
        client.hangs = false;
        context_.Cancel();
      },
      context_);
  EXPECT_TRUE(led);
  EXPECT_EQ(Spec()["holderIdentity"], "");
}

TEST_F(LeaderElectorTest, DoesNothingInAContextThatHasEnded) {
  context_.Cancel();
  Run({});
  EXPECT_THAT(kubernetes_.calls(), IsEmpty());
}

}  // namespace
}  // namespace gantry::kubernetes
