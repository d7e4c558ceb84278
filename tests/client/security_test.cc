// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "client/gantryctl/probe.h"
#include "client/gantryctl/run.h"
#include "client/gantryctl/transport.h"
#include "tests/client/answers.h"
#include "tests/client/fake_timing.h"
#include "tests/client/http1_server.h"
#include "tests/client/scripted_service.h"
#include "tests/client/test_authority.h"
#include "tests/client/unused_port.h"

// gantryctl inside this process, against services with and without TLS over the network.
namespace gantry::gantryctl {
namespace {

using client::Answer;
using client::GrpcError;
using client::Http1Server;
using client::KeyPair;
using client::ScriptedService;
using client::Subject;
using client::TestAuthority;
using client::TlsServer;
using client::UnusedPort;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A JSON Web Token that nobody has signed.
std::string Jwt(const std::string& claims) {
  return absl::StrCat("e30.", absl::WebSafeBase64Escape(claims), ".c2lnbmF0dXJl");
}

class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() {
    world_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
    world_.read = [this](const std::string& file, std::size_t) -> absl::StatusOr<std::string> {
      const auto found = files_.find(file);
      if (found == files_.end()) return absl::UnknownError("No such file or directory");
      return found->second;
    };
    world_.write_out = [this](const std::string& text) {
      out_ += text;
      return true;
    };
    world_.write_err = [this](const std::string& text) { err_ += text; };
    world_.terminal_width = [] { return std::size_t{200}; };
    world_.connect =
        [this](const ServiceFlags& flags) -> absl::StatusOr<std::shared_ptr<client::Connection>> {
      const absl::StatusOr<client::ChannelOptions> options = MakeChannelOptions(flags, world_.read);
      if (!options.ok()) return options.status();
      return client::Connect(flags.server, *options);
    };
    world_.probe = [this](const ServiceFlags& flags) {
      const absl::StatusOr<TlsMaterial> material = ReadTlsMaterial(flags, world_.read);
      return material.ok() ? Probe(flags, *material, absl::Seconds(10)) : Finding();
    };
    world_.now = [] { return absl::FromUnixSeconds(2000000000); };
    world_.timing = &timing_;
    files_["step"] = "uses: argocd-update\nconfig: {}\n";
    files_["ca"] = authority_.certificate();
    files_["other-ca"] = stranger_.certificate();
    const KeyPair caller = authority_.Issue({});
    files_["cert"] = caller.certificate;
    files_["key"] = caller.key;
    files_["other-key"] = stranger_.Issue({}).key;
    files_["token"] = "first\n";
    files_["no-pem"] = "nothing of the kind\n";
    files_["empty"] = "\n";
  }

  int RunStep(const std::string& address, const std::vector<std::string>& more = {}) {
    out_.clear();
    err_.clear();
    std::vector<std::string> arguments = {"run-step", "--project",   "demo", "--stage",
                                          "prod",     "--promotion", "p-1",  "--server",
                                          address,    "step"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gantryctl::Run(arguments, world_);
  }

  const TestAuthority authority_{"Test Authority"};
  const TestAuthority stranger_{"Stranger"};
  World world_;
  client::FakeTiming timing_;
  std::map<std::string, std::string> variables_;
  std::map<std::string, std::string> files_;
  std::string out_;
  std::string err_;
};

std::unique_ptr<ScriptedService> Serve(std::shared_ptr<grpc::ServerCredentials> credentials,
                                       std::vector<client::WireAnswer> script = {
                                           Answer(v1::STEP_STATUS_SUCCEEDED)}) {
  return std::make_unique<ScriptedService>(std::move(script), "127.0.0.1:0", client::HealthScript(),
                                           std::move(credentials));
}

TEST_F(SecurityTest, ATokenGoesOverTls) {
  const auto service = Serve(TlsServer(authority_.Issue({})));
  EXPECT_EQ(RunStep(service->address(), {"--ca-file", "ca", "--token", "secret"}), kExitSucceeded)
      << err_;
  EXPECT_THAT(service->authorizations(), ElementsAre("Bearer secret"));
}

TEST_F(SecurityTest, ATokenFileIsReadAgainForEachCall) {
  const auto service = Serve(TlsServer(authority_.Issue({})), {client::Running(), client::Running(),
                                                               Answer(v1::STEP_STATUS_SUCCEEDED)});
  int reads = 0;
  world_.read = [this, &reads, read = world_.read](const std::string& file, std::size_t limit) {
    // Once to see that it is in order, then for each call.
    if (file == "token" && ++reads == 3) files_["token"] = "second";
    return read(file, limit);
  };
  EXPECT_EQ(RunStep(service->address(), {"--ca-file", "ca", "--token-file", "token"}),
            kExitSucceeded)
      << err_;
  EXPECT_THAT(service->authorizations(),
              ElementsAre("Bearer first", "Bearer second", "Bearer second"));
}

TEST_F(SecurityTest, ATokenFileThatVanishesEndsTheCommand) {
  const auto service = Serve(TlsServer(authority_.Issue({})), {client::Running()});
  int reads = 0;
  world_.read = [this, &reads, read = world_.read](const std::string& file, std::size_t limit) {
    if (file == "token" && ++reads == 3) files_.erase("token");
    return read(file, limit);
  };
  EXPECT_EQ(RunStep(service->address(), {"--ca-file", "ca", "--token-file", "token"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("nothing was sent to the service at " + service->address() +
                              ": --token-file token cannot be read: No such file"));
  EXPECT_EQ(service->requests().size(), 1u);
}

TEST_F(SecurityTest, ATokenGoesInPlainTextToThisMachineOnlyWhenAsked) {
  const auto service = Serve(grpc::InsecureServerCredentials());
  EXPECT_EQ(RunStep(service->address(), {"--token", "secret", "--plaintext"}), kExitSucceeded)
      << err_;
  EXPECT_THAT(service->authorizations(), ElementsAre("Bearer secret"));
  EXPECT_EQ(RunStep(service->address(), {"--token", "secret"}), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("speaks plain text and was called with TLS, because a token"));
  EXPECT_EQ(service->requests().size(), 1u);
}

TEST_F(SecurityTest, ACertificateTellsWhoCalls) {
  const auto service = Serve(TlsServer(authority_.Issue({}), authority_.certificate()));
  EXPECT_EQ(
      RunStep(service->address(), {"--ca-file", "ca", "--cert-file", "cert", "--key-file", "key"}),
      kExitSucceeded)
      << err_;
  EXPECT_EQ(service->requests().size(), 1u);

  EXPECT_EQ(RunStep(service->address(), {"--ca-file", "ca"}), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("if it asks its callers for a certificate, give one with "
                              "--cert-file and --key-file"));
  const KeyPair unknown = stranger_.Issue({});
  files_["cert"] = unknown.certificate;
  files_["key"] = unknown.key;
  EXPECT_EQ(
      RunStep(service->address(), {"--ca-file", "ca", "--cert-file", "cert", "--key-file", "key"}),
      kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("it may not accept the certificate of --cert-file"));
  EXPECT_EQ(service->requests().size(), 1u);
}

TEST_F(SecurityTest, ABadCertificateOfTheServiceIsExplained) {
  Subject expired;
  expired.valid_until = -60;
  Subject later;
  later.valid_from = 3600;
  later.valid_until = 7200;
  Subject other;
  other.names = "DNS:gantry.example,IP:203.0.113.7";
  const struct {
    const char* name;
    Subject subject;
    std::string ca;
    std::string told;
  } cases[] = {
      {"WrongAuthority",
       {},
       "other-ca",
       "is from CN=Test Authority, which is none of the certificate authorities in --ca-file"},
      {"Expired", expired, "ca", "has expired at 20"},
      {"NotYetValid", later, "ca", "is not valid before 20"},
      {"OtherName", other, "ca", "is for gantry.example, 203.0.113.7, and not for 127.0.0.1"},
  };
  for (const auto& test : cases) {
    const auto service = Serve(TlsServer(authority_.Issue(test.subject)));
    EXPECT_EQ(RunStep(service->address(), {"--ca-file", test.ca}), kExitUnreachable) << test.name;
    EXPECT_THAT(err_, HasSubstr("The certificate of " + service->address() + " " + test.told))
        << test.name;
    EXPECT_THAT(service->requests(), IsEmpty()) << test.name;
  }
}

TEST_F(SecurityTest, TheSystemsAuthoritiesAreTheDefault) {
  const auto service = Serve(TlsServer(authority_.Issue({})));
  EXPECT_EQ(RunStep(service->address(), {"--plaintext=false"}), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("which is none of the system's certificate authorities"));
}

TEST_F(SecurityTest, WhoeverAnswersInsteadIsNamed) {
  const auto tls = Serve(TlsServer(authority_.Issue({})));
  const auto plaintext = Serve(grpc::InsecureServerCredentials());
  const Http1Server http1;
  ASSERT_TRUE(http1.ok());
  const UnusedPort unused;
  ASSERT_TRUE(unused.ok());
  const struct {
    const char* name;
    std::string address;
    std::vector<std::string> flags;
    std::string told;
  } cases[] = {
      {"TlsInPlainText", tls->address(), {}, "speaks TLS and was called in plain text; use --ca"},
      {"PlainTextWithTls",
       plaintext->address(),
       {"--plaintext=false"},
       "speaks plain text and was called with TLS; add --plaintext"},
      {"PlainTextWithACa",
       plaintext->address(),
       {"--ca-file", "ca"},
       "speaks plain text and was called with TLS, because a token, a certificate or a CA"},
      {"Http1", http1.address(), {}, "answers HTTP/1: that looks like the admin listener"},
      {"Http1WithTls", http1.address(), {"--plaintext=false"}, "answers HTTP/1: that looks like"},
      {"Nobody", unused.address(), {}, "Nobody listens at " + unused.address()},
      {"NoSuchHost", "gantry.invalid:1", {"--plaintext"}, "The host of gantry.invalid:1 has no"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(RunStep(test.address, test.flags), kExitUnreachable) << test.name;
    EXPECT_THAT(err_, HasSubstr(test.told)) << test.name;
    EXPECT_THAT(err_, HasSubstr("gantryctl: no Gantry service answers at ")) << test.name;
  }
  EXPECT_THAT(tls->requests(), IsEmpty());
  EXPECT_THAT(plaintext->requests(), IsEmpty());
}

TEST_F(SecurityTest, APeerThatSaysNothing) {
  const UnusedPort port(/*listening=*/true);
  ASSERT_TRUE(port.ok());
  ServiceFlags flags;
  flags.server = port.address();
  const Finding finding = Probe(flags, {}, absl::Milliseconds(50));
  EXPECT_EQ(finding.kind, Finding::Kind::kNoAnswer);
  EXPECT_THAT(RenderFinding(finding, flags), HasSubstr("Nothing comes back from"));
}

TEST_F(SecurityTest, NamesThatOnlyGrpcKnowsAreNotProbed) {
  for (const char* const address : {"unix:/run/gantry.sock", "unix-abstract:g", "ipv4:a:1,b:2"}) {
    ServiceFlags flags;
    flags.server = address;
    EXPECT_EQ(Probe(flags, {}, absl::Seconds(1)).kind, Finding::Kind::kUnclear) << address;
  }
}

TEST_F(SecurityTest, ACallerWhoIsNotKnownIsToldWhy) {
  const struct {
    const char* name;
    std::vector<std::string> flags;
    std::string token_file;
    std::string told;
  } cases[] = {
      {"NoToken", {"--ca-file", "ca"}, "", "No token was sent; give one with --token-file"},
      {"Expired",
       {"--ca-file", "ca", "--token-file", "token"},
       Jwt(R"({"sub": "ann", "exp": 1999999999})"),
       "The token in token has expired at 2033-05-18T03:33:19Z; get a new one."},
      {"ExpiredByFlag",
       {"--ca-file", "ca", "--token", Jwt(R"({"exp": 1})")},
       "",
       "The token has expired at 1970-01-01T00:00:01Z"},
      {"NotExpired",
       {"--ca-file", "ca", "--token-file", "token"},
       Jwt(R"({"exp": 2000000001})"),
       "The token in token was sent and not accepted"},
      {"NoJwt",
       {"--ca-file", "ca", "--token-file", "token"},
       "opaque",
       "The token in token was sent and not accepted"},
      {"ACertificate",
       {"--ca-file", "ca", "--cert-file", "cert", "--key-file", "key"},
       "",
       "The certificate of --cert-file does not tell the service who calls"},
  };
  for (const auto& test : cases) {
    files_["token"] = test.token_file;
    const auto service = Serve(TlsServer(authority_.Issue({})),
                               {GrpcError(grpc::StatusCode::UNAUTHENTICATED, "who are you?")});
    EXPECT_EQ(RunStep(service->address(), test.flags), kExitFailed) << test.name;
    EXPECT_THAT(err_, HasSubstr("UNAUTHENTICATED: who are you?")) << test.name;
    EXPECT_THAT(err_, HasSubstr(test.told)) << test.name;
  }
}

TEST_F(SecurityTest, FilesAreCheckedBeforeAnythingIsSent) {
  const auto service = Serve(TlsServer(authority_.Issue({})));
  files_["torn"] = files_["cert"].substr(0, 100);
  files_["two-tokens"] = "one\ntwo\n";
  files_["huge"] = std::string(5 << 20, 'x');
  const struct {
    const char* name;
    std::vector<std::string> flags;
    std::string told;
  } cases[] = {
      {"NoCa", {"--ca-file", "x"}, "--ca-file x cannot be read: No such file or directory"},
      {"NoPemInCa",
       {"--ca-file", "no-pem"},
       "--ca-file no-pem holds no PEM certificate; expected the certificates of certificate "
       "authorities, in PEM"},
      {"EmptyCa", {"--ca-file", "empty"}, "--ca-file empty holds no PEM certificate"},
      {"TornCa", {"--ca-file", "torn"}, "--ca-file torn holds no PEM certificate"},
      {"AKeyAsCa", {"--ca-file", "key"}, "--ca-file key holds no PEM certificate"},
      {"HugeCa", {"--ca-file", "huge"}, "--ca-file huge has more than 4194304 bytes"},
      {"NoCert", {"--cert-file", "x", "--key-file", "key"}, "--cert-file x cannot be read"},
      {"AKeyAsCert",
       {"--cert-file", "key", "--key-file", "key"},
       "--cert-file key holds no PEM certificate"},
      {"ACertAsKey",
       {"--cert-file", "cert", "--key-file", "cert"},
       "--key-file cert holds no PEM private key that can be read"},
      {"AKeyOfAnother",
       {"--cert-file", "cert", "--key-file", "other-key"},
       "--key-file other-key holds a private key that does not belong to the certificate in cert"},
      {"NoToken", {"--token-file", "x"}, "--token-file x cannot be read"},
      {"EmptyToken", {"--token-file", "empty"}, "--token-file empty holds nothing; expected a"},
      {"TwoTokens",
       {"--token-file", "two-tokens"},
       "--token-file two-tokens holds blanks, line ends or other characters"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(RunStep(service->address(), test.flags), kExitUsage) << test.name;
    EXPECT_THAT(err_, HasSubstr("gantryctl: " + test.told)) << test.name;
    EXPECT_THAT(err_, Not(HasSubstr("BEGIN"))) << test.name;
  }
  EXPECT_THAT(service->requests(), IsEmpty());
}

TEST(ExpiryOfTokenTest, IsReadFromAJsonWebToken) {
  const struct {
    const char* name;
    std::string token;
    std::optional<absl::Time> expiry;
  } cases[] = {
      {"AnInteger", Jwt(R"({"exp": 12})"), absl::FromUnixSeconds(12)},
      {"AFraction", Jwt(R"({"exp": 12.5})"), absl::FromUnixSeconds(12)},
      {"None", Jwt("{}"), std::nullopt},
      {"AString", Jwt(R"({"exp": "12"})"), std::nullopt},
      {"Negative", Jwt(R"({"exp": -1})"), std::nullopt},
      {"Absurd", Jwt(R"({"exp": 1e300})"), std::nullopt},
      {"NoObject", Jwt("12"), std::nullopt},
      {"NoJson", Jwt("{"), std::nullopt},
      {"Deep", Jwt(std::string(100000, '[')), std::nullopt},
      {"DeepAndWhole",
       Jwt("{\"a\": " + std::string(10000, '[') + std::string(10000, ']') + ", \"exp\": 7}"),
       absl::FromUnixSeconds(7)},
      {"NoBase64", "a.%%%.c", std::nullopt},
      {"TwoParts", "e30.e30", std::nullopt},
      {"Opaque", "opaque", std::nullopt},
      {"Empty", "", std::nullopt},
  };
  for (const auto& test : cases) EXPECT_EQ(ExpiryOfToken(test.token), test.expiry) << test.name;
}

}  // namespace
}  // namespace gantry::gantryctl
