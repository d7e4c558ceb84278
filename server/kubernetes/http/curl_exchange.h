// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_HTTP_CURL_EXCHANGE_H_
#define GANTRY_SERVER_KUBERNETES_HTTP_CURL_EXCHANGE_H_

#include <curl/curl.h>

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "server/kubernetes/http/http_transport.h"

namespace gantry::kubernetes {

using SteadyClock = std::chrono::steady_clock;

// One request and what has come of its response: what libcurl's callbacks see and fill. Lives for
// one transfer, on the stack of the thread that runs it.
struct Exchange {
  Exchange(const HttpRequest& sent, const base::Clock& now) : request(sent), clock(now) {}

  const HttpRequest& request;
  const base::Clock& clock;
  CURL* easy = nullptr;
  HttpResponse response;
  int times_sent = 0;
  bool stopped_by_sink = false;
  bool too_large = false;
  SteadyClock::time_point last_byte = SteadyClock::now();
  // When the header of a 2xx response, or the last byte of its body, came; nothing once on_quiet
  // has been called for the silence since then.
  std::optional<SteadyClock::time_point> quiet_since;

  bool ok() const { return response.status >= 200 && response.status < 300; }

  // Makes `easy` call this exchange.
  void Attach(CURL* handle);
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_HTTP_CURL_EXCHANGE_H_
