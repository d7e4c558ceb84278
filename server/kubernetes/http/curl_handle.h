// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_HTTP_CURL_HANDLE_H_
#define GANTRY_SERVER_KUBERNETES_HTTP_CURL_HANDLE_H_

#include <curl/curl.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "server/kubernetes/config/server_url.h"
#include "server/kubernetes/http/curl_exchange.h"
#include "server/kubernetes/http/http_transport.h"

namespace gantry::kubernetes {

class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void Add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

struct CurlTransport::ServerAddress {
  ServerUrl url;
  // What requests begin with: has the name to verify in place of the host.
  std::string base;
  // Set when that name is another one.
  std::string connect_to;
  std::string host_header;
};

// A libcurl handle with the connections it holds. Used by one call at a time.
class CurlTransport::Handle {
 public:
  explicit Handle(Identity identity)
      : identity_(std::move(identity)), multi_(curl_multi_init()), easy_(curl_easy_init()) {}
  ~Handle() {
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  const Identity& identity() const { return identity_; }
  absl::Duration idle_since() const { return idle_since_; }
  void set_idle_since(absl::Duration since) { idle_since_ = since; }

  struct Result {
    absl::StatusOr<HttpResponse> response;
    CURLcode code = CURLE_OK;
    bool sent = false;
  };
  Result Perform(const CurlTransportOptions& options, const ServerAddress& address,
                 const HttpRequest& request, const base::Clock& clock, base::Context& context);

 private:
  void SetOptions(const CurlTransportOptions& options, const ServerAddress& address,
                  Exchange& exchange, HeaderList& headers, HeaderList& connect_to);
  void SetTls(const CurlTransportOptions& options);
  void SetProxy(std::string_view proxy);
  void SetBody(const HttpRequest& request);
  // Runs the transfer until it ends by itself (its code), the context ends, or nothing has come
  // for too long.
  struct Ending {
    enum class Reason { kDone, kContext, kIdle } reason = Reason::kDone;
    CURLcode code = CURLE_OK;
    absl::Status context;
  };
  Ending Run(Exchange& exchange, base::Context& context);
  // What the transfer came to: a response, or an error that says how far it got.
  absl::StatusOr<HttpResponse> Conclude(const std::string& origin, Exchange& exchange,
                                        const Ending& ending, long os_error);
  std::string ReasonOf(CURLcode code, long os_error) const;

  const Identity identity_;
  CURLM* const multi_;
  CURL* const easy_;
  char error_[CURL_ERROR_SIZE] = {};
  absl::Duration idle_since_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_HTTP_CURL_HANDLE_H_
