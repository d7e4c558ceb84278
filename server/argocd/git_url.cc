// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/git_url.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "base/utf8.h"

namespace gantry::argocd {
namespace {

bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool ConsumeSuffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// What is left without blanks and unprintable characters, in lower case; nothing when the bytes
// are not UTF-8. Whoever copies a URL from a web page or a chat gets some of these along with it,
// and can't see them.
std::optional<std::string> Clean(std::string_view url) {
  std::string cleaned;
  cleaned.reserve(url.size());
  while (!url.empty()) {
    const std::string_view before = url;
    const std::optional<uint32_t> code_point = base::TakeCodePoint(url);
    if (!code_point) return std::nullopt;
    if (!base::IsUnprintable(*code_point)) {
      cleaned.append(before, 0, before.size() - url.size());
    }
  }
  absl::AsciiStrToLower(&cleaned);
  return cleaned;
}

bool IsHost(std::string_view host) {
  if (ConsumePrefix(host, "[")) {
    if (!ConsumeSuffix(host, "]")) return false;
    // An IPv6 address. A zone ("%25eth0") names an interface of one machine: not understood.
    return host.find(':') != std::string_view::npos &&
           std::all_of(host.begin(), host.end(), [](char c) {
             return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.';
           });
  }
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || byte >= 0x80;
  });
}

bool IsHostAndPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  const size_t bracket = text.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  if (!has_port) return IsHost(text);
  const std::string_view port = text.substr(colon + 1);
  return IsHost(text.substr(0, colon)) && !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(),
                     [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); });
}

bool HasBrokenEscape(std::string_view text) {
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1)) {
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      return true;
    }
  }
  return false;
}

std::string_view WithoutSuffixes(std::string_view path) {
  ConsumeSuffix(path, "/");
  ConsumeSuffix(path, ".git");
  return path;
}

// `rest` is what follows "<scheme>://".
std::optional<std::string> NormalizeWithScheme(std::string_view scheme, std::string_view rest,
                                               bool keep_user_info) {
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  const std::string_view path = rest.substr(slash);
  // A password may hold an "@" of its own, a host can't.
  const size_t at = authority.rfind('@');
  const size_t host_begin = at == std::string_view::npos ? 0 : at + 1;
  if (!IsHostAndPort(authority.substr(host_begin)) || HasBrokenEscape(rest)) return std::nullopt;
  std::string normalized(scheme);
  normalized += "://";
  normalized += keep_user_info ? authority : authority.substr(host_begin);
  normalized += WithoutSuffixes(path);
  return normalized;
}

std::optional<std::string> NormalizeScpLike(std::string_view url) {
  const size_t at = url.find('@');
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const std::string_view user = url.substr(0, at);
  if (user.find_first_of(":/") != std::string_view::npos) return std::nullopt;
  std::string_view rest = url.substr(at + 1);
  // The colons of an IPv6 address stand in brackets; the one behind them ends the host.
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  const size_t colon = rest.find(':', bracket);
  if (colon == std::string_view::npos || !IsHost(rest.substr(0, colon))) return std::nullopt;
  std::string_view path = rest.substr(colon + 1);
  ConsumePrefix(path, "/");
  if (path.empty()) return std::nullopt;
  std::string normalized = "ssh://";
  normalized += url.substr(0, at + 1);
  normalized += rest.substr(0, colon);
  normalized += '/';
  normalized += WithoutSuffixes(path);
  return normalized;
}

std::optional<std::string> Normalize(std::string_view url) {
  if (url.find_first_of("?#") != std::string_view::npos) return std::nullopt;
  for (const std::string_view scheme : {"http", "https", "ssh"}) {
    std::string_view rest = url;
    if (ConsumePrefix(rest, scheme) && ConsumePrefix(rest, "://")) {
      return NormalizeWithScheme(scheme, rest, scheme == "ssh");
    }
  }
  return NormalizeScpLike(url);
}

}  // namespace

std::string NormalizeGitUrl(std::string_view url) {
  const std::optional<std::string> cleaned = Clean(url);
  if (cleaned) {
    if (std::optional<std::string> normalized = Normalize(*cleaned)) return *normalized;
  }
  return std::string(url);
}

}  // namespace gantry::argocd
