// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

// What is made of a failed call's error and of what the probe found. The probe itself is tested
// against services, in security_test.cc.
namespace gantry::gantryctl {
namespace {

using Kind = Finding::Kind;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPrefix[] =
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7443: ";
constexpr char kVerifyFailed[] =
    "Ssl handshake failed: SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify failed";
constexpr char kNoAlpn[] = "Cannot check peer: missing selected ALPN property.";
constexpr char kOtherName[] = "Peer name 127.0.0.1 is not in peer certificate";

TEST(ExplainTest, WhatGrpcSaysOfThePeerWins) {
  const Finding expired = {Kind::kBadCertificate, "has expired"};
  const struct {
    const char* name;
    std::string message;
    Finding found;
    Kind kind;
    std::string detail;
  } cases[] = {
      {"VerifyFailed", kVerifyFailed, {Kind::kNoAnswer, ""}, Kind::kBadCertificate, "is not valid"},
      {"VerifyFailedAndKnownWhy", kVerifyFailed, expired, Kind::kBadCertificate, "has expired"},
      {"VerifyFailedAndGone",
       kVerifyFailed,
       {Kind::kRefused, ""},
       Kind::kBadCertificate,
       "is not valid"},
      {"OtherName",
       kOtherName,
       {Kind::kNoAnswer, ""},
       Kind::kBadCertificate,
       "is not for 127.0.0.1"},
      {"NoAlpn", kNoAlpn, expired, Kind::kNoHttp2, ""},
      {"ClosedAndSilent", "Socket closed", {Kind::kNoAnswer, ""}, Kind::kClosed, ""},
      {"ClosedAndUnclear", "Endpoint read failed", {}, Kind::kClosed, ""},
      {"ResetAndSilent", "Connection reset by peer", {Kind::kNoAnswer, ""}, Kind::kClosed, ""},
      {"HandshakeAndSilent", "Ssl handshake failed: x", {Kind::kNoAnswer, ""}, Kind::kClosed, ""},
      {"ClosedAndTls", "Socket closed", {Kind::kTls, ""}, Kind::kTls, ""},
      {"ClosedAndHttp1", "Socket closed", {Kind::kHttp1, ""}, Kind::kHttp1, ""},
      {"Refused", "Connection refused", {Kind::kRefused, ""}, Kind::kRefused, ""},
      {"Silent", "Deadline Exceeded", {Kind::kNoAnswer, ""}, Kind::kNoAnswer, ""},
      {"NoMessage", "", {Kind::kNoAnswer, ""}, Kind::kNoAnswer, ""},
      {"ATornPeerName", "is not in peer certificate", {Kind::kTls, ""}, Kind::kTls, ""},
  };
  for (const auto& test : cases) {
    const Finding finding =
        Explain(std::string(kPrefix) + test.message, [&] { return test.found; });
    EXPECT_EQ(finding.kind, test.kind) << test.name;
    EXPECT_THAT(finding.detail, HasSubstr(test.detail)) << test.name;
  }
}

TEST(ExplainTest, NobodyIsProbedWhenItIsKnown) {
  bool probed = false;
  Explain(kNoAlpn, [&] {
    probed = true;
    return Finding();
  });
  EXPECT_FALSE(probed);
  EXPECT_EQ(Explain(kVerifyFailed, nullptr).kind, Kind::kBadCertificate);
  EXPECT_EQ(Explain("Connection refused", nullptr).kind, Kind::kUnclear);
}

TEST(RenderFindingTest, AdviceOnAPeerThatIsNoGrpcServer) {
  ServiceFlags flags;
  flags.server = "127.0.0.1:7443";
  flags.plaintext = false;
  EXPECT_THAT(RenderFinding({Kind::kNoHttp2, ""}, flags),
              HasSubstr("127.0.0.1:7443 speaks TLS but not gRPC (no HTTP/2): probably the "
                        "Kubernetes API server, a web server or a proxy without HTTP/2; gRPC is "
                        "at gantry-server's --listen"));
  EXPECT_THAT(RenderFinding({Kind::kClosed, ""}, flags), HasSubstr("(--plaintext)"));
  flags.plaintext = true;
  EXPECT_THAT(RenderFinding({Kind::kClosed, ""}, flags), HasSubstr("--plaintext=false"));
  EXPECT_THAT(RenderFinding({Kind::kClosed, ""}, flags), Not(HasSubstr("Nothing comes back")));
}

}  // namespace
}  // namespace gantry::gantryctl
