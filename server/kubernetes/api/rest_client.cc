// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/rest_client.h"

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "server/kubernetes/api/list_pages.h"
#include "server/kubernetes/api/object_splitter.h"
#include "server/kubernetes/api/response_error.h"

namespace gantry::kubernetes {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr int kWholeListTimeouts = 10;

ApiTarget TargetOf(Verb verb, const Resource& resource, std::string_view ns,
                   std::string_view name) {
  ApiTarget target;
  target.verb = verb;
  target.resource = resource;
  target.ns = ns;
  target.name = name;
  return target;
}

// Tells an object from a proxy's page and from a body that was cut off. Whoever reads the object
// finds what else is wrong with it.
bool LooksLikeObject(const std::string& body) {
  const absl::string_view text = absl::StripAsciiWhitespace(body);
  return text.size() >= 2 && text.front() == '{' && text.back() == '}';
}

}  // namespace

absl::StatusOr<JsonText> RestClient::CallForObject(ApiRequest request, base::Context& context) {
  request.traffic = traffic_;
  absl::StatusOr<HttpResponse> response = connection_->Call(request, context);
  if (!response.ok()) return response.status();
  if (!LooksLikeObject(response->body)) {
    return MalformedResponse(request.target, *response, "is not a JSON object");
  }
  return JsonText(std::move(response->body));
}

absl::StatusOr<JsonText> RestClient::Get(const Resource& resource, std::string_view ns,
                                         std::string_view name, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kGet, resource, ns, name);
  return CallForObject(std::move(request), context);
}

absl::StatusOr<std::string> RestClient::List(
    const Resource& resource, std::string_view ns, const ListOptions& options,
    absl::FunctionRef<absl::Status(simdjson::padded_string_view item)> on_item,
    absl::FunctionRef<void()> on_restart, base::Context& context) {
  ListPages list;
  list.target = TargetOf(Verb::kList, resource, ns, "");
  list.page_size = options.page_size;
  auto& query = list.target.query;
  if (!options.label_selector.empty()) query.emplace_back("labelSelector", options.label_selector);
  if (!options.field_selector.empty()) query.emplace_back("fieldSelector", options.field_selector);
  const auto read_page = [&](const ApiTarget& target, bool whole) -> absl::StatusOr<ListMetadata> {
    ApiRequest request;
    request.target = target;
    request.traffic = traffic_;
    request.attempt_factor = whole ? kWholeListTimeouts : 1;
    const absl::StatusOr<HttpResponse> response = connection_->Call(request, context);
    if (!response.ok()) return response.status();
    ListSplitter splitter(on_item);
    splitter.Add(response->body);
    absl::StatusOr<ListMetadata> metadata = splitter.Finish();
    if (!splitter.refused().ok()) return splitter.refused();
    if (!metadata.ok()) {
      return MalformedResponse(target, *response, base::ToStd(metadata.status().message()));
    }
    return metadata;
  };
  return ReadPages(list, read_page, [&](const absl::Status&) { on_restart(); });
}

absl::StatusOr<JsonText> RestClient::Create(const Resource& resource, std::string_view ns,
                                            std::string_view name, std::string_view body,
                                            base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kCreate, resource, ns, name);
  request.body = body;
  request.content_type = kJson;
  return CallForObject(std::move(request), context);
}

absl::StatusOr<JsonText> RestClient::Replace(const Resource& resource, std::string_view ns,
                                             std::string_view name, std::string_view body,
                                             base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kUpdate, resource, ns, name);
  request.body = body;
  request.content_type = kJson;
  return CallForObject(std::move(request), context);
}

absl::StatusOr<JsonText> RestClient::JsonPatch(const Resource& resource, std::string_view ns,
                                               std::string_view name, std::string_view patch,
                                               base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kPatch, resource, ns, name);
  request.body = patch;
  request.content_type = "application/json-patch+json";
  return CallForObject(std::move(request), context);
}

absl::StatusOr<JsonText> RestClient::MergePatch(const Resource& resource, std::string_view ns,
                                                std::string_view name, std::string_view subresource,
                                                std::string_view patch, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kPatch, resource, ns, name);
  request.target.subresource = subresource;
  request.body = patch;
  request.content_type = "application/merge-patch+json";
  return CallForObject(std::move(request), context);
}

absl::Status RestClient::Delete(const Resource& resource, std::string_view ns,
                                std::string_view name, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kDelete, resource, ns, name);
  return CallForObject(std::move(request), context).status();
}

absl::StatusOr<std::unique_ptr<Client>> MakeClient(const ClusterConfig& config,
                                                   const ClientOptions& options) {
  absl::StatusOr<std::shared_ptr<ApiConnection>> connection = MakeApiConnection(config, options);
  if (!connection.ok()) return connection.status();
  return std::make_unique<RestClient>(*std::move(connection));
}

}  // namespace gantry::kubernetes
