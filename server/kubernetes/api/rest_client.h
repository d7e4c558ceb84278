// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_REST_CLIENT_H_
#define GANTRY_SERVER_KUBERNETES_API_REST_CLIENT_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/api/client.h"

namespace gantry::kubernetes {

// The Client over an ApiConnection, for one kind of traffic. Any thread, many calls at once.
class RestClient final : public Client {
 public:
  explicit RestClient(std::shared_ptr<ApiConnection> connection,
                      Traffic traffic = Traffic::kForeground)
      : connection_(std::move(connection)), traffic_(traffic) {}

  absl::StatusOr<JsonText> Get(const Resource& resource, std::string_view ns, std::string_view name,
                               base::Context& context) override;
  absl::StatusOr<std::string> List(
      const Resource& resource, std::string_view ns, const ListOptions& options,
      absl::FunctionRef<absl::Status(simdjson::padded_string_view item)> on_item,
      absl::FunctionRef<void()> on_restart, base::Context& context) override;
  absl::StatusOr<JsonText> Create(const Resource& resource, std::string_view ns,
                                  std::string_view name, std::string_view body,
                                  base::Context& context) override;
  absl::StatusOr<JsonText> Replace(const Resource& resource, std::string_view ns,
                                   std::string_view name, std::string_view body,
                                   base::Context& context) override;
  absl::StatusOr<JsonText> JsonPatch(const Resource& resource, std::string_view ns,
                                     std::string_view name, std::string_view patch,
                                     base::Context& context) override;
  absl::StatusOr<JsonText> MergePatch(const Resource& resource, std::string_view ns,
                                      std::string_view name, std::string_view subresource,
                                      std::string_view patch, base::Context& context) override;
  absl::Status Delete(const Resource& resource, std::string_view ns, std::string_view name,
                      base::Context& context) override;

 private:
  // Calls and checks that the answer is a JSON object.
  absl::StatusOr<JsonText> CallForObject(ApiRequest request, base::Context& context);

  const std::shared_ptr<ApiConnection> connection_;
  const Traffic traffic_;
};

// The client for one cluster. Reads the files that `config` names, sends nothing.
absl::StatusOr<std::unique_ptr<Client>> MakeClient(const ClusterConfig& config,
                                                   const ClientOptions& options);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_REST_CLIENT_H_
