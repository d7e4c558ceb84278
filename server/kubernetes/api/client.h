// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_CLIENT_H_
#define GANTRY_SERVER_KUBERNETES_API_CLIENT_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/context.h"
#include "server/kubernetes/api/json_text.h"

namespace gantry::kubernetes {

// A kind of object as the API's paths spell it; paths are built from it, without discovery.
struct Resource {
  std::string_view group;  // empty: the core group
  std::string_view version;
  std::string_view plural;
};

struct ListOptions {
  std::string label_selector;  // empty: everything
  std::string field_selector;
  int page_size = 250;
};

// The verbs of the Kubernetes API on namespaced objects. Bodies are JSON text, in and out, so that
// each caller parses just what it needs and finds out what is wrong with it (see WhyUnreadable):
// of what is returned only the first and the last byte were checked to be those of an object. A
// name or namespace that is empty, ".", ".." or contains '/' or '%' is refused before anything is
// sent (kRefused). Every call ends by the context's deadline or cancellation, within milliseconds.
// Errors are made by error.h. Any thread may call it, many at once.
class Client {
 public:
  virtual ~Client() = default;

  virtual absl::StatusOr<JsonText> Get(const Resource& resource, std::string_view ns,
                                       std::string_view name, base::Context& context) = 0;

  // Reads a live list page by page and calls `on_item` with each item's JSON, in the server's
  // order (namespace, name). An empty `ns` lists all namespaces. When a later page has expired
  // the list starts again from the beginning, after a call of `on_restart`. An error that
  // `on_item` returns ends the list and is returned. Returns the list's resourceVersion.
  virtual absl::StatusOr<std::string> List(
      const Resource& resource, std::string_view ns, const ListOptions& options,
      absl::FunctionRef<absl::Status(simdjson::padded_string_view item)> on_item,
      absl::FunctionRef<void()> on_restart, base::Context& context) = 0;

  // The writes return the object as the server stored it. `name` is the one in `body`.
  virtual absl::StatusOr<JsonText> Create(const Resource& resource, std::string_view ns,
                                          std::string_view name, std::string_view body,
                                          base::Context& context) = 0;
  virtual absl::StatusOr<JsonText> Replace(const Resource& resource, std::string_view ns,
                                           std::string_view name, std::string_view body,
                                           base::Context& context) = 0;
  // RFC 6902.
  virtual absl::StatusOr<JsonText> JsonPatch(const Resource& resource, std::string_view ns,
                                             std::string_view name, std::string_view patch,
                                             base::Context& context) = 0;
  // RFC 7386. `subresource` may be empty.
  virtual absl::StatusOr<JsonText> MergePatch(const Resource& resource, std::string_view ns,
                                              std::string_view name, std::string_view subresource,
                                              std::string_view patch, base::Context& context) = 0;
  virtual absl::Status Delete(const Resource& resource, std::string_view ns, std::string_view name,
                              base::Context& context) = 0;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_CLIENT_H_
