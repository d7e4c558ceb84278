// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_TRANSPORT_H_
#define GANTRY_CLIENT_GANTRYCTL_TRANSPORT_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gantryctl/command_line.h"
#include "gantry/client/connection.h"

// How the flags secure a connection. Any thread.
namespace gantry::gantryctl {

// The bytes of a file, "-" being standard input: all of it, or a few more than `limit`.
using ReadFile =
    std::function<absl::StatusOr<std::string>(const std::string& file, std::size_t limit)>;

// What the files hold that the flags name, as PEM; empty: not given.
struct TlsMaterial {
  std::string ca;
  std::string certificate;
  std::string key;
};

// Reads the files and checks that they hold what they should, and that the key belongs to the
// certificate. Errors are INVALID_ARGUMENT, name the file and what was expected.
absl::StatusOr<TlsMaterial> ReadTlsMaterial(const ServiceFlags& flags, const ReadFile& read);

// The token to send, without blanks around it; empty: none. Errors as above.
absl::StatusOr<std::string> ReadToken(const ServiceFlags& flags, const ReadFile& read);

// What to connect with; checks all files first. The options keep `read`, for the token.
absl::StatusOr<client::ChannelOptions> MakeChannelOptions(const ServiceFlags& flags,
                                                          const ReadFile& read);

// When the token expires, if it is a JSON Web Token that says so. Nothing is verified.
std::optional<absl::Time> ExpiryOfToken(const std::string& token);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_TRANSPORT_H_
