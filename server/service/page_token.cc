// SPDX-License-Identifier: Apache-2.0
#include "server/service/page_token.h"

#include "absl/strings/escaping.h"
#include "base/names.h"
#include "base/strings.h"

namespace gantry::service {
namespace {

// Tells tokens of a later version with another content from these.
constexpr std::string_view kVersion = "1/";

}  // namespace

std::string MakePageToken(const cache::StageName& last) {
  return absl::WebSafeBase64Escape(base::StrCat(kVersion, last.project, "/", last.stage));
}

std::optional<cache::StageName> ReadPageToken(std::string_view token) {
  std::string text;
  if (!absl::WebSafeBase64Unescape(base::ToAbsl(token), &text)) return std::nullopt;
  std::string_view rest = text;
  if (!rest.starts_with(kVersion)) return std::nullopt;
  rest.remove_prefix(kVersion.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  cache::StageName name{std::string(rest.substr(0, slash)), std::string(rest.substr(slash + 1))};
  if (!base::IsDns1123Label(name.project) || !base::IsDns1123Subdomain(name.stage)) {
    return std::nullopt;
  }
  return name;
}

}  // namespace gantry::service
