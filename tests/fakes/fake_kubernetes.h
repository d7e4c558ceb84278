// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_FAKES_FAKE_KUBERNETES_H_
#define GANTRY_TESTS_FAKES_FAKE_KUBERNETES_H_

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "server/kubernetes/api/client.h"
#include "server/kubernetes/api/error.h"

namespace gantry::testing {

// The part of the Kubernetes API that this program uses, in memory: objects with resourceVersions
// and optimistic locking. A test looks at what happened through `calls` and makes things go wrong
// through `before` and `after`. Any thread.
class FakeKubernetes final : public kubernetes::Client {
 public:
  struct Call {
    std::string verb;       // get, list, create, update, patch, delete
    std::string plural;     // with a subresource "plural/subresource"
    std::string name;       // the selector for list
    std::string body = {};  // of a patch, as it was sent
    bool Is(std::string_view wanted_verb, std::string_view wanted_plural) const {
      return verb == wanted_verb && plural == wanted_plural;
    }
    // Without the body.
    bool operator==(const Call& other) const {
      return verb == other.verb && plural == other.plural && name == other.name;
    }
  };

  // Called before a request reaches the store, and after it has changed it: an error is what the
  // caller gets instead. Called without a lock, so that it may change objects.
  std::function<absl::Status(const Call&)> before = [](const Call&) { return absl::OkStatus(); };
  std::function<absl::Status(const Call&)> after = [](const Call&) { return absl::OkStatus(); };

  // What a caller receives of an object's text: for a server, or a proxy, that sends nonsense.
  std::function<std::string(std::string text)> respond = [](std::string text) { return text; };

  // Stores an object as if somebody else had written it, under a new resourceVersion.
  void Put(const std::string& plural, nlohmann::json object);
  void Remove(const std::string& plural, const std::string& ns, const std::string& name);
  // Null when there is none.
  nlohmann::json Read(const std::string& plural, const std::string& ns, const std::string& name);
  // Every call that was made, in order.
  std::vector<Call> calls();
  std::size_t Count(const std::string& verb, const std::string& plural);

  absl::StatusOr<kubernetes::JsonText> Get(const kubernetes::Resource& resource,
                                           std::string_view ns, std::string_view name,
                                           base::Context& context) override;
  absl::StatusOr<std::string> List(
      const kubernetes::Resource& resource, std::string_view ns,
      const kubernetes::ListOptions& options,
      absl::FunctionRef<absl::Status(simdjson::padded_string_view item)> on_item,
      absl::FunctionRef<void()> on_restart, base::Context& context) override;
  absl::StatusOr<kubernetes::JsonText> Create(const kubernetes::Resource& resource,
                                              std::string_view ns, std::string_view name,
                                              std::string_view body,
                                              base::Context& context) override;
  absl::StatusOr<kubernetes::JsonText> Replace(const kubernetes::Resource& resource,
                                               std::string_view ns, std::string_view name,
                                               std::string_view body,
                                               base::Context& context) override;
  absl::StatusOr<kubernetes::JsonText> JsonPatch(const kubernetes::Resource& resource,
                                                 std::string_view ns, std::string_view name,
                                                 std::string_view patch,
                                                 base::Context& context) override;
  // With a subresource, nothing but the member of that name changes, as in the API.
  absl::StatusOr<kubernetes::JsonText> MergePatch(const kubernetes::Resource& resource,
                                                  std::string_view ns, std::string_view name,
                                                  std::string_view subresource,
                                                  std::string_view patch,
                                                  base::Context& context) override;
  absl::Status Delete(const kubernetes::Resource& resource, std::string_view ns,
                      std::string_view name, base::Context& context) override;

 private:
  struct Key {
    std::string plural, ns, name;
    auto operator<=>(const Key&) const = default;
  };
  using Change = std::function<absl::StatusOr<nlohmann::json>(const nlohmann::json* current)>;

  absl::StatusOr<kubernetes::JsonText> Write(const Call& call, const Key& key,
                                             base::Context& context, const Change& change);
  nlohmann::json StoreLocked(const Key& key, nlohmann::json object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Begin(const Call& call, base::Context& context);

  base::Mutex mutex_;
  std::map<Key, nlohmann::json> objects_ ABSL_GUARDED_BY(mutex_);
  int last_version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::testing

#endif  // GANTRY_TESTS_FAKES_FAKE_KUBERNETES_H_
