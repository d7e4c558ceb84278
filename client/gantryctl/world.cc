// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/world.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/text.h"
#include "client/gantryctl/text.h"
#include "gantry/client/errors.h"

namespace gantry::gantryctl {
namespace {

std::string AdviceOnToken(const ServiceFlags& flags, const World& world) {
  if (flags.token.empty() && flags.token_file.empty()) {
    if (!flags.cert_file.empty()) {
      return "The certificate of --cert-file does not tell the service who calls; check that it is "
             "from an authority that the service trusts, or give a token with --token-file.\n";
    }
    return "No token was sent; give one with --token-file or --token (GANTRY_TOKEN_FILE, "
           "GANTRY_TOKEN), or a certificate with --cert-file and --key-file.\n";
  }
  const std::string where =
      flags.token_file.empty() ? "The token" : absl::StrCat("The token in ", flags.token_file);
  const absl::StatusOr<std::string> token = ReadToken(flags, world.read);
  if (!token.ok()) return absl::StrCat(std::string(token.status().message()), ".\n");
  const std::optional<absl::Time> expiry = ExpiryOfToken(*token);
  const absl::Time now = world.now ? world.now() : absl::Now();
  if (expiry && *expiry <= now) {
    return absl::StrCat(where, " has expired at ", base::UtcTime(*expiry), "; get a new one.\n");
  }
  return absl::StrCat(where,
                      " was sent and not accepted; check that it was issued for this service and "
                      "is complete.\n");
}

}  // namespace

client::Timing& TimingOf(const World& world) {
  return world.timing != nullptr ? *world.timing : client::SystemTiming();
}

void Tell(const World& world, const std::string& text) {
  world.write_err(absl::StrCat("gantryctl: ", text));
}

bool Print(const absl::StatusOr<std::string>& text, const World& world) {
  if (!text.ok()) {
    Tell(world, absl::StrCat(std::string(text.status().message()), "\n"));
    return false;
  }
  if (text->empty() || world.write_out(*text)) return true;
  Tell(world, "standard output cannot be written\n");
  return false;
}

bool IsDumb(const World& world) { return world.environment("TERM") == "dumb"; }

Look LookOf(OutputFormat output, const World& world) {
  const std::optional<std::string> no_color = world.environment("NO_COLOR");
  Look look;
  look.color = world.out_is_terminal && !IsDumb(world) && (!no_color || no_color->empty());
  look.wide = output == OutputFormat::kWide;
  return look;
}

std::shared_ptr<client::Connection> ConnectOrTell(const ServiceFlags& flags, const World& world) {
  absl::StatusOr<std::shared_ptr<client::Connection>> connection = world.connect(flags);
  if (connection.ok()) return *std::move(connection);
  Tell(world, absl::StrCat(std::string(connection.status().message()), "\n"));
  return nullptr;
}

std::string WaitingLine(const client::FailedAttempt& failed, const std::string& address) {
  client::RunStepProgress progress;
  progress.error = &failed.error;
  progress.service_answered = failed.service_answered;
  return ProgressLine(progress, address);
}

std::string Advice(const absl::Status& error, const ServiceFlags& flags, const World& world) {
  if (client::NotSent(error)) return "";
  if (!client::ServiceAnswered(error)) {
    std::function<Finding()> probe;
    if (world.probe) probe = [&] { return world.probe(flags); };
    std::string found = RenderFinding(Explain(std::string(error.message()), probe), flags);
    if (!found.empty()) return found;
    return "Check that gantry-server runs, and that --server or GANTRY_SERVER names the address it "
           "serves gRPC at (its --listen).\n";
  }
  if (absl::IsUnauthenticated(error)) return AdviceOnToken(flags, world);
  if (absl::IsPermissionDenied(error)) {
    return "The service may know the caller and does not allow this; ask those who run it for the "
           "permission, or call as somebody else (--token-file, --cert-file).\n";
  }
  return "";
}

ExitCode CallService(const ServiceFlags& flags, absl::Duration timeout, const std::string& doing,
                     const World& world, const OneCall& call) {
  std::shared_ptr<client::Connection> connection = ConnectOrTell(flags, world);
  if (connection == nullptr) return kExitUsage;
  client::Timing& timing = TimingOf(world);
  const absl::Duration start = timing.Now();
  const std::unique_ptr<Progress> progress = MakePlainProgress(world.write_err);
  client::CallOptions options;
  options.timeout = timeout;
  options.timing = &timing;
  options.on_failed_attempt = [&](const client::FailedAttempt& failed) {
    progress->Show(failed.elapsed, WaitingLine(failed, flags.server));
  };
  if (world.on_asking) world.on_asking();
  const absl::Status error = call(client::Client(std::move(connection)), options);
  if (!error.ok()) {
    Tell(world, absl::StrCat(RenderCallFailure(error, flags.server, timing.Now() - start, doing),
                             Advice(error, flags, world)));
  }
  return ExitCodeForError(error);
}

}  // namespace gantry::gantryctl
