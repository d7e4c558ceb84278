// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/api_connection.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "server/kubernetes/api/response_error.h"
#include "server/kubernetes/api/retry_policy.h"

namespace gantry::kubernetes {
namespace {

// The header with the credentials is always the last one, so that it can be replaced.
void SetAuthorization(const std::string& value, HttpRequest& request) {
  request.headers.back() = {"Authorization", value};
}

bool IsOk(const absl::StatusOr<HttpResponse>& attempt) {
  return attempt.ok() && attempt->status >= 200 && attempt->status < 300;
}

ErrorKind ContextKind(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled ? ErrorKind::kCancelled
                                                       : ErrorKind::kDeadlineExceeded;
}

// The error of an attempt that is not a 2xx response, named after the call.
absl::Status ErrorOf(const ApiTarget& target, const absl::StatusOr<HttpResponse>& attempt) {
  if (attempt.ok()) return ErrorOfResponse(target, *attempt);
  return MakeError(DetailOf(attempt.status()),
                   base::StrCat(Describe(target), ": ", attempt.status().message()));
}

absl::Status With(const absl::Status& error, const ErrorDetail& detail, std::string_view more) {
  return MakeError(detail, base::StrCat(error.message(), more));
}

}  // namespace

ApiConnection::ApiConnection(std::unique_ptr<Transport> transport,
                             std::unique_ptr<CredentialSource> credentials,
                             Impersonation impersonation, ClientOptions options)
    : transport_(std::move(transport)),
      credentials_(std::move(credentials)),
      impersonation_(std::move(impersonation)),
      options_(std::move(options)),
      foreground_(options_.qps, options_.burst, *options_.clock, *options_.sleeper),
      background_(options_.qps, options_.burst, *options_.clock, *options_.sleeper) {}

void ApiConnection::AddHeaders(std::string_view content_type, HttpRequest& request) const {
  auto& headers = request.headers;
  headers.emplace_back("Accept", "application/json");
  headers.emplace_back("User-Agent", options_.user_agent);
  if (!content_type.empty()) headers.emplace_back("Content-Type", std::string(content_type));
  if (!impersonation_.user.empty()) {
    headers.emplace_back("Impersonate-User", impersonation_.user);
    headers.emplace_back("Impersonate-Uid", impersonation_.uid);
    for (const std::string& group : impersonation_.groups) {
      headers.emplace_back("Impersonate-Group", group);
    }
    for (const auto& [key, value] : impersonation_.extra) {
      headers.emplace_back(base::StrCat("Impersonate-Extra-", PercentEncoded(key)), value);
    }
  }
  headers.emplace_back("Authorization", "");
}

ApiConnection::Attempt ApiConnection::SendObserved(const ApiTarget& target, HttpRequest& request,
                                                   absl::Duration timeout, base::Context& context) {
  const absl::Duration began = options_.clock->SinceBoot();
  base::Context limited(context, timeout);
  Attempt attempt = transport_->Send(request, limited);
  if (!attempt.ok() && DetailOf(attempt.status()).kind == ErrorKind::kDeadlineExceeded &&
      context.Check().ok()) {
    attempt = MakeError(DetailOf(attempt.status()),
                        base::StrCat(attempt.status().message(), " (the limit of ",
                                     absl::FormatDuration(timeout), " for one attempt)"));
  }
  if (options_.on_attempt) {
    const int status = attempt.ok() ? attempt->status : 0;
    const ErrorKind kind = IsOk(attempt) ? ErrorKind::kNone : KindOf(ErrorOf(target, attempt));
    options_.on_attempt(target, status, kind, options_.clock->SinceBoot() - began);
  }
  return attempt;
}

ApiConnection::Attempt ApiConnection::SendAuthenticated(const ApiTarget& target,
                                                        HttpRequest& request,
                                                        absl::Duration attempt_timeout,
                                                        base::Context& context) {
  for (bool renewed = false;; renewed = true) {
    const absl::StatusOr<Credentials> credentials = credentials_->Get(context);
    if (!credentials.ok()) {
      const absl::Status ended = context.Check();
      return MakeError({.kind = ended.ok() ? ErrorKind::kUnauthorized : ContextKind(ended),
                        .outcome = WriteOutcome::kNotWritten},
                       base::StrCat("no credentials to send: ", credentials.status().message()));
    }
    SetAuthorization(credentials->authorization, request);
    request.client_certificate = credentials->client_certificate;
    Attempt attempt = SendObserved(target, request, attempt_timeout, context);
    const bool unauthorized = attempt.ok() && attempt->status == 401;
    if (!unauthorized || renewed || !credentials_->Reject(*credentials)) return attempt;
  }
}

absl::StatusOr<HttpResponse> ApiConnection::Call(const ApiRequest& call, base::Context& context) {
  const ApiTarget& target = call.target;
  absl::StatusOr<std::string> path = BuildPath(target);
  if (!path.ok()) return path.status();
  HttpRequest request;
  request.method = std::string(MethodOf(target.verb));
  request.target = *std::move(path);
  request.body = call.body;
  request.accept_compression = target.verb == Verb::kGet || target.verb == Verb::kList;
  AddHeaders(call.content_type, request);
  const absl::Duration timeout = options_.attempt_timeout * call.attempt_factor;

  RateLimiter& limiter = call.traffic == Traffic::kForeground ? foreground_ : background_;

  RetryBudget budget;
  // Whether the attempts before this one certainly changed nothing.
  bool earlier_unwritten = true;
  while (true) {
    if (const absl::Status turn = limiter.Acquire(context); !turn.ok()) {
      ErrorDetail detail = DetailOf(turn);
      detail.outcome = earlier_unwritten ? WriteOutcome::kNotWritten : WriteOutcome::kUnknown;
      return MakeError(detail, base::StrCat(Describe(target), ": ", turn.message()));
    }
    Attempt attempt = SendAuthenticated(target, request, timeout, context);
    if (IsOk(attempt)) return attempt;
    absl::Status error = ErrorOf(target, attempt);
    ErrorDetail detail = DetailOf(error);
    const bool unwritten = earlier_unwritten && CertainlyNotWritten(error);
    detail.outcome = unwritten ? WriteOutcome::kNotWritten : WriteOutcome::kUnknown;
    earlier_unwritten = unwritten;
    error = MakeError(detail, base::ToStd(error.message()));

    AttemptResult result;
    result.kind = detail.kind;
    result.is_read = IsRead(target.verb);
    if (attempt.ok()) {
      result.http_status = attempt->status;
      result.retry_after = attempt->retry_after;
    }
    const RetryReason reason = context.Check().ok() ? WhyRetry(result) : RetryReason::kNone;
    if (reason == RetryReason::kNone) return error;
    if (!budget.Spend(reason)) {
      return With(error, detail, base::StrCat(" (gave up after ", budget.failures(), " attempts)"));
    }
    const absl::Duration delay =
        RetryDelay(budget.failures(), result.retry_after, options_.random->Uniform());
    if (delay > context.Remaining()) {
      detail.retry_after = delay;
      return With(error, detail,
                  base::StrCat(" (another attempt is due in ", absl::FormatDuration(delay),
                               ", after the caller's deadline)"));
    }
    if (const absl::Status slept = options_.sleeper->Sleep(delay, context); !slept.ok()) {
      detail.kind = ContextKind(slept);
      return MakeError(detail,
                       base::StrCat(Describe(target), ": ", slept.message(),
                                    " while waiting for another attempt after: ", error.message()));
    }
  }
}

absl::StatusOr<HttpResponse> ApiConnection::Stream(
    const ApiTarget& target, const absl::Duration& idle_timeout,
    const std::function<bool(std::string_view chunk)>& sink, base::Context& context,
    const QuietHandler& quiet) {
  absl::StatusOr<std::string> path = BuildPath(target);
  if (!path.ok()) return path.status();
  HttpRequest request;
  request.target = *std::move(path);
  request.accept_compression = target.verb == Verb::kList;
  request.idle_timeout = idle_timeout;
  request.sink = [&](std::string_view chunk) {
    const bool more = sink(chunk);
    request.idle_timeout = idle_timeout;
    return more;
  };
  request.quiet_after = quiet.after;
  request.on_quiet = quiet.call;
  AddHeaders("", request);
  Attempt attempt = SendAuthenticated(target, request, absl::InfiniteDuration(), context);
  if (!IsOk(attempt)) return ErrorOf(target, attempt);
  return attempt;
}

absl::StatusOr<std::shared_ptr<ApiConnection>> MakeApiConnection(const ClusterConfig& config,
                                                                 const ClientOptions& options) {
  CurlTransportOptions transport;
  transport.server = config.server;
  transport.tls = config.tls;
  transport.proxy_url = config.proxy_url;
  transport.on_warning = options.on_warning;
  auto made = CurlTransport::Create(std::move(transport), *options.clock);
  if (!made.ok()) {
    return absl::Status(made.status().code(),
                        base::StrCat(config.source, ": ", made.status().message()));
  }
  CredentialOptions credentials;
  credentials.exec_timeout = options.exec_timeout;
  credentials.on_warning = options.on_warning;
  return std::make_shared<ApiConnection>(*std::move(made),
                                         MakeCredentialSource(config, credentials, *options.clock),
                                         config.impersonation, options);
}

}  // namespace gantry::kubernetes
