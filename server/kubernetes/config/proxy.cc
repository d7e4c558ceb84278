// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/proxy.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

// An IPv4 address is held in its IPv6-mapped form, so that both compare alike.
struct Address {
  std::array<unsigned char, 16> bytes{};
  bool is_v4 = false;
};

std::optional<Address> ParseAddress(std::string text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  Address address;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    static constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0,    0,
                                                              0, 0, 0, 0, 0xff, 0xff};
    address.is_v4 = std::memcmp(address.bytes.data(), kMapped.data(), kMapped.size()) == 0;
    return address;
  }
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data() + 12) == 1) {
    address.bytes[10] = address.bytes[11] = 0xff;
    address.is_v4 = true;
    return address;
  }
  return std::nullopt;
}

bool IsLoopback(const Address& address) {
  if (address.is_v4) return address.bytes[12] == 127;
  static constexpr std::array<unsigned char, 16> kOne = {0, 0, 0, 0, 0, 0, 0, 0,
                                                         0, 0, 0, 0, 0, 0, 0, 1};
  return address.bytes == kOne;
}

bool InNetwork(const Address& address, const std::string& cidr) {
  const std::size_t slash = cidr.find('/');
  int bits = 0;
  const std::optional<Address> network = ParseAddress(cidr.substr(0, slash));
  if (!network || !absl::SimpleAtoi(cidr.substr(slash + 1), &bits)) return false;
  if (network->is_v4 != address.is_v4) return false;
  if (bits < 0 || bits > (network->is_v4 ? 32 : 128)) return false;
  if (network->is_v4) bits += 96;
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (std::memcmp(network->bytes.data(), address.bytes.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - bits % 8));
  return (network->bytes[whole] & mask) == (address.bytes[whole] & mask);
}

// One entry of NO_PROXY, trimmed and in lower case.
bool Excludes(std::string entry, const std::string& host, const std::optional<Address>& address,
              int port) {
  if (entry.empty()) return false;
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos) return address && InNetwork(*address, entry);
  if (!ParseAddress(entry)) {
    const std::size_t colon = entry.rfind(':');
    int only_port = 0;
    if (colon != std::string::npos && absl::SimpleAtoi(entry.substr(colon + 1), &only_port)) {
      if (only_port != port) return false;
      entry.resize(colon);
    }
  }
  if (const std::optional<Address> excluded = ParseAddress(entry)) {
    return address && excluded->bytes == address->bytes;
  }
  if (entry.starts_with("*.")) entry.erase(0, 1);
  if (entry.empty()) return false;
  const bool subdomains_alone = entry.front() == '.';
  const std::string suffix = subdomains_alone ? entry : "." + entry;
  return host.ends_with(suffix) || (!subdomains_alone && host == entry);
}

std::string Variable(const Environment& environment, const std::string& name) {
  for (const std::string& spelling : {name, absl::AsciiStrToLower(name)}) {
    if (const auto value = environment.get_variable(spelling); value && !value->empty()) {
      return *value;
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> CheckProxyUrl(std::string_view url, std::string_view where) {
  const std::size_t mark = url.find("://");
  const std::string scheme = mark == std::string_view::npos
                                 ? "http"
                                 : absl::AsciiStrToLower(base::ToAbsl(url.substr(0, mark)));
  const std::string_view rest = mark == std::string_view::npos ? url : url.substr(mark + 3);
  const std::string_view host = rest.substr(rest.rfind('@') + 1);
  const bool known = scheme == "http" || scheme == "https" || scheme == "socks5";
  bool clean = true;
  for (const char c : rest) clean = clean && c > ' ' && c != 0x7f;
  if (!known || !clean || host.empty() || host.front() == '/') {
    return absl::InvalidArgumentError(
        base::StrCat(where,
                     " is not the URL of a proxy; expected http://, https:// or "
                     "socks5://, then host:port"));
  }
  return base::StrCat(scheme, "://", rest);
}

absl::StatusOr<std::string> ProxyFromEnvironment(const ServerUrl& server,
                                                 const Environment& environment) {
  const std::string name = server.https() ? "HTTPS_PROXY" : "HTTP_PROXY";
  const std::string proxy = Variable(environment, name);
  if (proxy.empty()) return std::string();
  const std::string host = absl::AsciiStrToLower(server.host);
  const std::optional<Address> address = ParseAddress(host);
  if (host == "localhost" || (address && IsLoopback(*address))) return std::string();
  const std::string exceptions = Variable(environment, "NO_PROXY");
  for (const absl::string_view entry : absl::StrSplit(exceptions, ',')) {
    const std::string normalized = absl::AsciiStrToLower(absl::StripAsciiWhitespace(entry));
    if (Excludes(normalized, host, address, server.port)) return std::string();
  }
  return CheckProxyUrl(proxy, base::StrCat("the environment variable ", name));
}

}  // namespace gantry::kubernetes
