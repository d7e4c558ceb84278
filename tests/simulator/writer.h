// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_WRITER_H_
#define GANTRY_TESTS_SIMULATOR_WRITER_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "tests/simulator/objects.h"
#include "tests/simulator/rbac.h"
#include "tests/simulator/resources.h"
#include "tests/simulator/store.h"

namespace gantry::simulator {

// What a write came to: the HTTP status and the body.
struct Written {
  int code = 200;
  std::string body;
};

struct DeleteOptions {
  std::string uid;               // empty: any
  std::string resource_version;  // empty: any
  // "Foreground" and "Orphan" leave it to a finalizer, which nobody takes away here.
  std::string propagation_policy;
};

// The writing verbs of the API, with the rules that the API server has for them. Writes of one
// object are atomic: each is computed from a version and stored only on top of that. Owned by the
// Simulator; any thread may call it.
class Writer {
 public:
  // All outlive it.
  Writer(Store& store, Resources& resources, Rbac& rbac, const base::Clock& clock)
      : store_(store), resources_(resources), rbac_(rbac), clock_(clock) {}

  struct Options {
    bool dry_run = false;
    // For seeding: a status is kept, and the namespace need not be there.
    bool seeding = false;
  };
  // `object` is of the resource's kind, as DecodeBody returns it.
  Result<Written> Create(const Resource& resource, const std::string& ns, nlohmann::json object,
                         const Options& options);
  Result<Written> Create(const Resource& resource, const std::string& ns, nlohmann::json object) {
    return Create(resource, ns, std::move(object), Options());
  }
  Result<Written> Update(const Resource& resource, const std::string& ns, const std::string& name,
                         const nlohmann::json& object, bool status, bool dry_run);
  // `content_type` says which kind of patch it is.
  Result<Written> Patch(const Resource& resource, const std::string& ns, const std::string& name,
                        const std::string& patch, const std::string& content_type, bool status,
                        bool dry_run);
  Result<Written> Delete(const Resource& resource, const std::string& ns, const std::string& name,
                         const DeleteOptions& options, bool dry_run);

 private:
  // What an object is to become.
  using Change = std::function<Result<nlohmann::json>(const nlohmann::json& old)>;

  // Stores what `change` makes of the object, as often as another write comes in between.
  Result<Written> Modify(const Resource& resource, const std::string& ns, const std::string& name,
                         const Change& change, bool status, bool dry_run);
  // The object as it is stored: `wanted` with what a client may not change taken from `old`.
  Result<nlohmann::json> Merge(const Resource& resource, const nlohmann::json& old,
                               nlohmann::json wanted, bool status) const;
  Result<Written> Removed(const Resource& resource, const Entry& entry) const;
  // What other parts of the simulator learn of an object, after it was written.
  void TakeEffect(const Resource& resource, const std::string& ns, const std::string& name)
      ABSL_LOCKS_EXCLUDED(effects_);

  Store& store_;
  Resources& resources_;
  Rbac& rbac_;
  const base::Clock& clock_;
  // Effects are taken one after the other, each of the object as it is then.
  base::Mutex effects_;
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_WRITER_H_
