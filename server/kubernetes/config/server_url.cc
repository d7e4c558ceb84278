// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/server_url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

struct FreedByCurl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

// User info may hold a password.
std::string WithoutUserInfo(std::string_view url) {
  const std::size_t at = url.rfind('@');
  if (at == std::string_view::npos) return absl::CEscape(base::ToAbsl(url));
  return base::StrCat("...", absl::CEscape(base::ToAbsl(url.substr(at))));
}

}  // namespace

std::string ServerUrl::Origin() const { return base::StrCat(scheme, "://", host, ":", port); }

std::string ServerUrl::HostHeader() const {
  if (port == (https() ? 443 : 80)) return host;
  return base::StrCat(host, ":", port);
}

absl::StatusOr<ServerUrl> ParseServerUrl(std::string_view url) {
  const auto refused = [&](std::string_view why) {
    return absl::InvalidArgumentError(base::StrCat("the server URL \"", WithoutUserInfo(url), "\" ",
                                                   why, "; expected https://host[:port][/path]"));
  };
  for (const char c : url) {
    if (c <= ' ' || c == 0x7f) return refused("has blanks or control characters");
  }
  if (url.find("://") == std::string_view::npos) return refused("has no scheme");
  const std::unique_ptr<CURLU, FreedByCurl> parsed(curl_url());
  if (!parsed) return absl::ResourceExhaustedError("out of memory");
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, std::string(url).c_str(),
                                      CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS);
  if (code != CURLUE_OK) {
    return refused(base::StrCat("is malformed (", curl_url_strerror(code), ")"));
  }
  ServerUrl server;
  server.scheme = Part(parsed.get(), CURLUPART_SCHEME);
  if (server.scheme != "https" && server.scheme != "http") {
    return refused("is neither https nor http");
  }
  if (!Part(parsed.get(), CURLUPART_USER).empty() ||
      !Part(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return refused("has user info");
  }
  if (url.find_first_of("?#") != std::string_view::npos) return refused("has a query or fragment");
  server.host = Part(parsed.get(), CURLUPART_HOST);
  if (server.host.empty()) return refused("has no host");
  if (!absl::SimpleAtoi(Part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), &server.port)) {
    return refused("has no usable port");
  }
  server.path = Part(parsed.get(), CURLUPART_PATH);
  while (!server.path.empty() && server.path.back() == '/') server.path.pop_back();
  return server;
}

}  // namespace gantry::kubernetes
