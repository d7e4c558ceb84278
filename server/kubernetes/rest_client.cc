// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/rest_client.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "server/base/strings.h"
#include "server/kubernetes/error.h"
#include "server/kubernetes/response_error.h"

namespace gantry::kubernetes {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(kJsonPadding >= simdjson::SIMDJSON_PADDING);

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

simdjson::padded_string_view Padded(const std::string& body) {
  return simdjson::padded_string_view(body.data(), body.size(), body.capacity());
}

bool IsJsonObject(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  return parser.parse(Padded(body)).get_object().get(object) == simdjson::SUCCESS;
}

// What an object calls itself, for messages; empty when it does not say.
std::string NameIn(std::string_view body) {
  simdjson::dom::parser parser;
  std::string_view name;
  const auto found = parser.parse(simdjson::padded_string(body)).at_pointer("/metadata/name");
  return found.get_string().get(name) == simdjson::SUCCESS ? std::string(name) : std::string();
}

struct ListMetadata {
  std::string resource_version;
  std::string continue_token;
};

// What cutting a list's body into items came to. At most one of the two errors is set.
struct ListEnd {
  ListMetadata metadata;
  simdjson::error_code malformed = simdjson::SUCCESS;
  absl::Status refused;  // what `on_item` returned
};

simdjson::error_code ReadMetadata(ondemand::value value, ListMetadata& metadata) {
  ondemand::object object;
  if (const auto error = value.get_object().get(object)) return error;
  for (auto field : object) {
    std::string_view key;
    if (const auto error = field.unescaped_key().get(key)) return error;
    std::string* text = key == "resourceVersion" ? &metadata.resource_version
                        : key == "continue"      ? &metadata.continue_token
                                                 : nullptr;
    if (text == nullptr) continue;
    std::string_view content;
    if (const auto error = field.value().get_string().get(content)) return error;
    *text = std::string(content);
  }
  return simdjson::SUCCESS;
}

simdjson::error_code ReadItems(ondemand::value value,
                               absl::FunctionRef<absl::Status(std::string_view item)> on_item,
                               absl::Status& refused) {
  ondemand::json_type type;
  if (const auto error = value.type().get(type)) return error;
  // Go writes an empty list so.
  if (type == ondemand::json_type::null) return simdjson::SUCCESS;
  ondemand::array items;
  if (const auto error = value.get_array().get(items)) return error;
  for (auto item : items) {
    ondemand::object object;
    if (const auto error = item.get_object().get(object)) return error;
    std::string_view raw;
    if (const auto error = object.raw_json().get(raw)) return error;
    // What is returned reaches to the next token.
    refused = on_item(base::ToStd(absl::StripTrailingAsciiWhitespace(base::ToAbsl(raw))));
    if (!refused.ok()) return simdjson::SUCCESS;
  }
  return simdjson::SUCCESS;
}

ListEnd CutItems(const std::string& body,
                 absl::FunctionRef<absl::Status(std::string_view item)> on_item) {
  ListEnd end;
  bool has_items = false;
  bool has_metadata = false;
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object list;
  end.malformed = parser.iterate(Padded(body)).get(document);
  if (end.malformed == simdjson::SUCCESS) end.malformed = document.get_object().get(list);
  if (end.malformed != simdjson::SUCCESS) return end;
  for (auto field : list) {
    std::string_view key;
    ondemand::value value;
    end.malformed = field.unescaped_key().get(key);
    if (end.malformed == simdjson::SUCCESS) end.malformed = field.value().get(value);
    if (end.malformed != simdjson::SUCCESS) return end;
    if (key == "metadata") {
      has_metadata = true;
      end.malformed = ReadMetadata(value, end.metadata);
    } else if (key == "items") {
      has_items = true;
      end.malformed = ReadItems(value, on_item, end.refused);
    }
    if (end.malformed != simdjson::SUCCESS || !end.refused.ok()) return end;
  }
  if (!has_items || !has_metadata) end.malformed = simdjson::NO_SUCH_FIELD;
  return end;
}

}  // namespace

absl::StatusOr<std::string> RestClient::CallForObject(const ApiRequest& request,
                                                      base::Context& context) {
  absl::StatusOr<HttpResponse> response = connection_->Call(request, context);
  if (!response.ok()) return response.status();
  if (!IsJsonObject(response->body)) {
    return MalformedResponse(request.target, *response, "is not a JSON object");
  }
  return std::move(response->body);
}

absl::StatusOr<std::string> RestClient::Get(const Resource& resource, std::string_view ns,
                                            std::string_view name, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kGet, resource, ns, name);
  return CallForObject(request, context);
}

absl::StatusOr<std::string> RestClient::List(
    const Resource& resource, std::string_view ns, const ListOptions& options,
    absl::FunctionRef<absl::Status(std::string_view item)> on_item,
    absl::FunctionRef<void()> on_restart, base::Context& context) {
  ApiRequest request;
  std::string continue_token;
  bool whole = options.page_size <= 0;
  while (true) {
    request.target = TargetOf(Verb::kList, resource, ns, "");
    auto& query = request.target.query;
    if (!options.label_selector.empty()) {
      query.emplace_back("labelSelector", options.label_selector);
    }
    if (!options.field_selector.empty()) {
      query.emplace_back("fieldSelector", options.field_selector);
    }
    if (!whole) query.emplace_back("limit", base::StrCat(options.page_size));
    if (!continue_token.empty()) query.emplace_back("continue", continue_token);
    request.attempt_factor = whole ? kWholeListTimeouts : 1;
    absl::StatusOr<HttpResponse> response = connection_->Call(request, context);
    if (!response.ok()) {
      if (continue_token.empty() || KindOf(response.status()) != ErrorKind::kExpired) {
        return response.status();
      }
      // The snapshot that the pages are cut from is gone. Another list in pages would run into
      // the same, so this one is read at once.
      whole = true;
      continue_token.clear();
      on_restart();
      continue;
    }
    ListEnd end = CutItems(response->body, on_item);
    if (!end.refused.ok()) return std::move(end.refused);
    if (end.malformed != simdjson::SUCCESS) {
      return MalformedResponse(
          request.target, *response,
          base::StrCat("is not a list in JSON (", simdjson::error_message(end.malformed), ")"));
    }
    if (end.metadata.continue_token.empty()) return std::move(end.metadata.resource_version);
    if (end.metadata.continue_token == continue_token) {
      return MalformedResponse(request.target, *response, "continues with the same page for ever");
    }
    continue_token = std::move(end.metadata.continue_token);
  }
}

absl::StatusOr<std::string> RestClient::Create(const Resource& resource, std::string_view ns,
                                               std::string_view body, base::Context& context) {
  ApiRequest request;
  const std::string name = NameIn(body);
  request.target = TargetOf(Verb::kCreate, resource, ns, name);
  request.body = body;
  request.content_type = kJson;
  return CallForObject(request, context);
}

absl::StatusOr<std::string> RestClient::Replace(const Resource& resource, std::string_view ns,
                                                std::string_view name, std::string_view body,
                                                base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kUpdate, resource, ns, name);
  request.body = body;
  request.content_type = kJson;
  return CallForObject(request, context);
}

absl::StatusOr<std::string> RestClient::JsonPatch(const Resource& resource, std::string_view ns,
                                                  std::string_view name, std::string_view patch,
                                                  base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kPatch, resource, ns, name);
  request.body = patch;
  request.content_type = "application/json-patch+json";
  return CallForObject(request, context);
}

absl::StatusOr<std::string> RestClient::MergePatch(const Resource& resource, std::string_view ns,
                                                   std::string_view name,
                                                   std::string_view subresource,
                                                   std::string_view patch, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kPatch, resource, ns, name);
  request.target.subresource = subresource;
  request.body = patch;
  request.content_type = "application/merge-patch+json";
  return CallForObject(request, context);
}

absl::Status RestClient::Delete(const Resource& resource, std::string_view ns,
                                std::string_view name, base::Context& context) {
  ApiRequest request;
  request.target = TargetOf(Verb::kDelete, resource, ns, name);
  return CallForObject(request, context).status();
}

absl::StatusOr<std::unique_ptr<Client>> MakeClient(const ClusterConfig& config,
                                                   const ClientOptions& options) {
  absl::StatusOr<std::shared_ptr<ApiConnection>> connection = MakeApiConnection(config, options);
  if (!connection.ok()) return connection.status();
  return std::make_unique<RestClient>(*std::move(connection));
}

}  // namespace gantry::kubernetes
