// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/http/curl_exchange.h"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "server/kubernetes/api/json_text.h"

namespace gantry::kubernetes {
namespace {

constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10;
// A server's word on a body's length is believed up to here before the bytes have come.
constexpr std::size_t kMaxReservedAhead = std::size_t{64} << 20;

bool IsRead(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// Called when a connection is ready and before the request is written to it. libcurl writes it
// again, whatever the method, when a connection used before turns out to be dead; a write that
// was carried out and not answered must not be repeated like that.
int BeforeSending(void* data, char*, char*, int, int) {
  auto& exchange = *static_cast<Exchange*>(data);
  if (exchange.times_sent > 0 && !IsRead(exchange.request)) return CURL_PREREQFUNC_ABORT;
  ++exchange.times_sent;
  return CURL_PREREQFUNC_OK;
}

// Seconds, or the date to wait for.
std::optional<absl::Duration> ParseRetryAfter(std::string_view value, absl::Time now) {
  absl::Duration wait;
  if (std::int64_t seconds = 0; absl::SimpleAtoi(base::ToAbsl(value), &seconds)) {
    wait = absl::Seconds(seconds);
  } else {
    const std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    if (date < 0) return std::nullopt;
    wait = absl::FromTimeT(date) - now;
  }
  return std::max(wait, absl::ZeroDuration());
}

std::size_t OnHeader(char* bytes, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  exchange.last_byte = SteadyClock::now();
  const std::string_view line = base::ToStd(absl::StripAsciiWhitespace({bytes, size * count}));
  if (line.starts_with("HTTP/")) {
    // Of several header blocks, such as 100 Continue, the last one counts.
    exchange.response = HttpResponse();
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      (void)absl::SimpleAtoi(base::ToAbsl(line.substr(blank + 1, 3)), &exchange.response.status);
    }
    return size * count;
  }
  if (line.empty() && exchange.ok()) exchange.quiet_since = exchange.last_byte;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  const absl::string_view name = base::ToAbsl(line.substr(0, colon));
  const std::string_view value =
      base::ToStd(absl::StripAsciiWhitespace(base::ToAbsl(line.substr(colon + 1))));
  if (absl::EqualsIgnoreCase(name, "Content-Type")) {
    exchange.response.content_type = std::string(value);
  } else if (absl::EqualsIgnoreCase(name, "Retry-After")) {
    exchange.response.retry_after = ParseRetryAfter(value, exchange.clock.Now());
  }
  return size * count;
}

std::size_t OnBody(char* bytes, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  exchange.last_byte = SteadyClock::now();
  const std::string_view chunk(bytes, size * count);
  std::string& body = exchange.response.body;
  if (!exchange.ok()) {
    body.append(chunk.substr(0, kMaxErrorBody - std::min(kMaxErrorBody, body.size())));
    return chunk.size();
  }
  exchange.quiet_since = exchange.last_byte;
  if (exchange.request.sink) {
    if (exchange.request.sink(chunk)) return chunk.size();
    exchange.stopped_by_sink = true;
    return 0;
  }
  if (chunk.size() > exchange.request.max_body_bytes - body.size()) {
    exchange.too_large = true;
    return 0;
  }
  if (body.empty()) {
    curl_off_t length = -1;
    curl_easy_getinfo(exchange.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) {
      body.reserve(std::min(static_cast<std::size_t>(length), kMaxReservedAhead) +
                   JsonText::kPadding);
    }
  }
  body.append(chunk);
  return chunk.size();
}

}  // namespace

void Exchange::Attach(CURL* handle) {
  easy = handle;
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, BeforeSending);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
}

}  // namespace gantry::kubernetes
