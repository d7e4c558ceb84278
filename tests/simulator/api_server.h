// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_API_SERVER_H_
#define GANTRY_TESTS_SIMULATOR_API_SERVER_H_

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "tests/simulator/faults.h"
#include "tests/simulator/http_server.h"
#include "tests/simulator/list_options.h"
#include "tests/simulator/rbac.h"
#include "tests/simulator/representation.h"
#include "tests/simulator/resources.h"
#include "tests/simulator/store.h"
#include "tests/simulator/writer.h"

namespace gantry::simulator {

// Who has which bearer token. Does not change.
using Tokens = std::map<std::string, User>;

// What a request is about, by its method and path.
struct RequestInfo {
  Attributes attributes;  // with a path when it is about no resource
  std::string version;
  bool named_watch_path = false;  // the old /watch/ prefix
};
RequestInfo InfoOf(const HttpRequest& request);

// The user of a request: by its token, its client certificate, or nobody in particular. The error
// is 401.
Result<User> Authenticate(const HttpRequest& request, const Tokens& tokens);

// Answers requests as kube-apiserver does. Owned by the Simulator; any thread may call Handle, and
// a watch stays in it.
class ApiServer {
 public:
  struct Options {
    std::chrono::milliseconds bookmark_interval{60000};
    // Answer sendInitialEvents as servers without the feature gate WatchList do.
    bool refuse_initial_events = false;
    std::string address;  // for discovery
  };
  // All outlive it.
  ApiServer(Store& store, Resources& resources, Rbac& rbac, Writer& writer, Faults& faults,
            const Tokens& tokens, const base::Clock& clock, Options options)
      : store_(store),
        resources_(resources),
        rbac_(rbac),
        writer_(writer),
        faults_(faults),
        tokens_(tokens),
        clock_(clock),
        options_(std::move(options)) {}

  void Handle(const HttpRequest& request, HttpAnswer& answer);

 private:
  // A request to a resource.
  struct Call {
    const HttpRequest& request;
    const RequestInfo& info;
    const User& user;
    ResourcePtr resource;
    Form form;
    HttpAnswer& answer;
    bool dry_run;
  };

  void HandleResource(const HttpRequest& request, const RequestInfo& info, const User& user,
                      HttpAnswer& answer);
  void HandlePath(const RequestInfo& info, HttpAnswer& answer);
  void Get(const Call& call);
  void List(const Call& call);
  void Watch(const Call& call, const ListOptions& options);
  void DeleteCollection(const Call& call);
  Result<Written> Write(const Call& call);
  Result<Written> Review(const Call& call, const nlohmann::json& object);
  Result<Store::Page> ReadPage(const Call& call, const ListOptions& options) const;

  Store& store_;
  Resources& resources_;
  Rbac& rbac_;
  Writer& writer_;
  Faults& faults_;
  const Tokens& tokens_;
  const base::Clock& clock_;
  const Options options_;
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_API_SERVER_H_
