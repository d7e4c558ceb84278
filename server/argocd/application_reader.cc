// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/application_reader.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"
#include "server/argocd/source_reader.h"

namespace gantry::argocd {
namespace {

// What an Application is read with: the document, and where what a live read adds goes (null: it is
// no live read).
class ApplicationWalker : public JsonWalker {
 public:
  explicit ApplicationWalker(LiveParts* live) : live_(live) {}
  LiveParts* live() const { return live_; }

  std::string Message(Value string, std::string_view name) {
    const std::string_view text = Text(string, name);
    return live_ != nullptr ? std::string(text) : base::CutToBytes(text, kMaxWatchedMessageBytes);
  }

 private:
  LiveParts* const live_;
};

using base::InternedString;
using Value = JsonWalker::Value;

void ReadAnnotation(ApplicationWalker& read, std::string_view annotation, Value text,
                    std::string& tracking_id, Application& application) {
  if (annotation == kAuthorizedStageAnnotation) {
    if (read.IsSet(text)) application.authorized_stage = read.Interned(text, "annotations");
  } else if (annotation == kRefreshAnnotation) {
    if (read.IsSet(text)) application.refresh = read.Interned(text, "annotations");
  } else if (annotation == kSkipReconcileAnnotation) {
    application.skip_reconcile = read.Text(text, "annotations") == "true";
  } else if (annotation == kTrackingIdAnnotation) {
    tracking_id = read.Text(text, "annotations");
  }
}

// The owner that is the object's controller, else the first; empty when there is none.
std::string ReadOwnerReferences(ApplicationWalker& read, Value references) {
  std::string owner;
  bool controlled = false;
  read.Items(references, "ownerReferences", [&](Value reference) {
    std::string kind;
    std::string name;
    bool controller = false;
    read.Members(reference, "ownerReferences", [&](std::string_view key, Value member) {
      if (key == "kind") kind = read.Text(member, key);
      if (key == "name") name = read.Text(member, key);
      if (key == "controller") controller = read.Bool(member, key);
    });
    if (owner.empty() || (controller && !controlled)) owner = base::StrCat(kind, " ", name);
    controlled = controlled || controller;
  });
  return owner;
}

// Who puts the Application back when it is changed by hand, where no owner reference tells: a
// parent Application leaves its tracking mark.
std::string ParentOf(const Application& application, std::string_view tracking_id) {
  const std::string_view parent = tracking_id.substr(0, tracking_id.find(':'));
  if (!parent.empty()) return base::StrCat("Application ", parent);
  for (const char* label : {"argocd.argoproj.io/instance", "app.kubernetes.io/instance"}) {
    const auto instance = FindLabel(application, label);
    if (instance && !instance->empty()) return base::StrCat("Application ", *instance);
  }
  return "";
}

void ReadMetadata(ApplicationWalker& read, Value metadata, Application& application) {
  std::string owner;
  std::string tracking_id;
  read.Members(metadata, "metadata", [&](std::string_view key, Value member) {
    if (key == "namespace") {
      application.name.ns = read.Text(member, key);
    } else if (key == "name") {
      application.name.name = read.Text(member, key);
    } else if (key == "uid") {
      application.uid = read.Text(member, key);
    } else if (key == "resourceVersion") {
      application.resource_version = read.Text(member, key);
    } else if (key == "creationTimestamp") {
      application.created_at = read.Time(member, key);
    } else if (key == "deletionTimestamp") {
      application.deletion_requested_at = read.Time(member, key);
    } else if (key == "ownerReferences") {
      owner = ReadOwnerReferences(read, member);
    } else if (key == "labels") {
      read.Members(member, key, [&](std::string_view label, Value text) {
        if (!read.IsSet(text)) return;
        InternedString name(label);
        application.labels.emplace_back(std::move(name), read.Interned(text, "labels"));
      });
    } else if (key == "annotations") {
      read.Members(member, key, [&](std::string_view annotation, Value text) {
        ReadAnnotation(read, annotation, text, tracking_id, application);
      });
    }
  });
  std::sort(application.labels.begin(), application.labels.end());
  if (owner.empty()) owner = ParentOf(application, tracking_id);
  application.owner = InternedString(owner);
}

void ReadSyncPolicy(ApplicationWalker& read, Value policy) {
  read.Members(policy, "syncPolicy", [&](std::string_view key, Value member) {
    if (key == "syncOptions") {
      nlohmann::json options = nlohmann::json::array();
      for (const InternedString& option : read.Strings(member, key)) {
        options.push_back(option.str());
      }
      if (read.live() != nullptr && read.IsSet(member)) read.live()->sync_options = options.dump();
    } else if (key == "retry" && read.Is(member, key, JsonWalker::Type::object)) {
      simdjson::ondemand::object retry;
      std::string_view text;
      if (read.Broken(member.get_object().get(retry)) || read.Broken(retry.raw_json().get(text))) {
        return;
      }
      if (read.live() != nullptr) read.live()->retry = text;
    }
  });
}

void ReadSpec(ApplicationWalker& read, Value spec, SourcesReader& sources,
              Application& application) {
  read.Members(spec, "spec", [&](std::string_view key, Value member) {
    if (sources.Read(read, key, member)) return;
    if (key == "sourceHydrator") {
      application.has_source_hydrator = read.IsSet(member);
    } else if (key == "syncPolicy") {
      ReadSyncPolicy(read, member);
    }
  });
  application.multi_source = sources.has_list();
  application.sources = sources.Get();
}

void ReadInfo(ApplicationWalker& read, Value info, Operation& operation) {
  read.Items(info, "info", [&](Value entry) {
    std::string name;
    InternedString content;
    read.Members(entry, "info", [&](std::string_view field, Value text) {
      if (field == "name") name = read.Text(text, field);
      if (field == "value") content = read.Interned(text, field);
    });
    std::optional<InternedString>* place = name == kPromotionInfo ? &operation.promotion
                                           : name == kAttemptInfo ? &operation.attempt
                                                                  : nullptr;
    // The first entry of a name counts.
    if (place != nullptr && !*place) *place = std::move(content);
  });
}

Operation ReadOperation(ApplicationWalker& read, Value json) {
  Operation operation;
  read.Members(json, "operation", [&](std::string_view key, Value member) {
    if (key == "sync") {
      operation.has_sync = read.IsSet(member);
    } else if (key == "initiatedBy") {
      read.Members(member, key, [&](std::string_view field, Value text) {
        if (field == "username") operation.initiated_by = read.Interned(text, field);
        if (field == "automated") operation.automated = read.Bool(text, field);
      });
    } else if (key == "info") {
      ReadInfo(read, member, operation);
    }
  });
  return operation;
}

Deployed ReadSyncResult(ApplicationWalker& read, Value json, const SourcesReader& spec) {
  std::vector<InternedString> revisions;
  InternedString revision;
  SourcesReader sources(&spec);
  read.Members(json, "syncResult", [&](std::string_view key, Value member) {
    if (sources.Read(read, key, member)) return;
    if (key == "revisions") {
      revisions = read.Strings(member, key);
    } else if (key == "revision") {
      revision = read.Interned(member, key);
    }
  });
  return {ListOr(std::move(revisions), std::optional(std::move(revision))), sources.Get()};
}

OperationState ReadOperationState(ApplicationWalker& read, Value json, const SourcesReader& spec) {
  OperationState state;
  read.Members(json, "operationState", [&](std::string_view key, Value member) {
    if (key == "phase") {
      state.phase = read.Interned(member, key);
    } else if (key == "message") {
      state.message = read.Message(member, key);
    } else if (key == "startedAt") {
      state.started_at = read.Time(member, key);
    } else if (key == "finishedAt") {
      state.finished_at = read.Time(member, key);
    } else if (key == "operation") {
      state.operation = ReadOperation(read, member);
    } else if (key == "syncResult") {
      if (read.IsSet(member)) state.sync_result = ReadSyncResult(read, member, spec);
    }
  });
  return state;
}

void ReadSync(ApplicationWalker& read, Value sync, const SourcesReader& spec,
              Application& application) {
  std::optional<InternedString> revision;
  SourcesReader compared(&spec);
  read.Members(sync, "sync", [&](std::string_view key, Value member) {
    if (key == "status") {
      application.sync_status = read.Interned(member, key);
    } else if (key == "revision") {
      InternedString found = read.Interned(member, key);
      if (!found.empty()) revision = std::move(found);
    } else if (key == "revisions") {
      application.sync_revisions = read.Strings(member, key);
    } else if (key == "comparedTo") {
      read.Members(member, key, [&](std::string_view field, Value source) {
        compared.Read(read, field, source);
      });
    }
  });
  application.sync_revisions = ListOr(std::move(application.sync_revisions), std::move(revision));
  application.compared_sources = compared.Get();
}

// Where the entry with the largest id is; an entry without a number for its id is none.
std::optional<std::size_t> FindNewest(ApplicationWalker& read, JsonWalker::Array entries) {
  std::optional<std::size_t> newest;
  std::int64_t largest = 0;
  std::size_t place = 0;
  read.ItemsOf(entries, [&](Value entry) {
    read.Members(entry, "history", [&](std::string_view key, Value member) {
      std::int64_t id = 0;
      if (key != "id" || member.get_int64().get(id) != simdjson::SUCCESS) return;
      if (newest && id <= largest) return;
      newest = place;
      largest = id;
    });
    ++place;
  });
  return newest;
}

HistoryEntry ReadHistoryEntry(ApplicationWalker& read, Value json, const SourcesReader& spec) {
  HistoryEntry entry;
  std::optional<InternedString> revision;
  SourcesReader sources(&spec);
  read.Members(json, "history", [&](std::string_view key, Value member) {
    if (sources.Read(read, key, member)) return;
    if (key == "id") {
      read.Broken(member.get_int64().get(entry.id));
    } else if (key == "revisions") {
      entry.deployed.revisions = read.Strings(member, key);
    } else if (key == "revision") {
      if (read.IsSet(member)) revision = read.Interned(member, key);
    }
  });
  entry.deployed.revisions = ListOr(std::move(entry.deployed.revisions), std::move(revision));
  entry.deployed.sources = sources.Get();
  return entry;
}

// Argo CD keeps ten entries, of which no rule reads more than the newest.
void ReadHistory(ApplicationWalker& read, Value history, const SourcesReader& spec,
                 Application& application) {
  JsonWalker::Array entries;
  if (!read.Is(history, "history", JsonWalker::Type::array) ||
      read.Broken(history.get_array().get(entries))) {
    return;
  }
  const std::optional<std::size_t> newest = FindNewest(read, entries);
  if (!newest || read.broken() || read.Broken(entries.reset().error())) return;
  std::size_t place = 0;
  read.ItemsOf(entries, [&](Value entry) {
    if (place++ == *newest) application.last_deployed = ReadHistoryEntry(read, entry, spec);
  });
}

void ReadConditions(ApplicationWalker& read, Value conditions, Application& application) {
  read.Items(conditions, "conditions", [&](Value entry) {
    Condition condition;
    read.Members(entry, "conditions", [&](std::string_view key, Value member) {
      if (key == "type") condition.type = read.Interned(member, key);
      if (key == "message") condition.message = read.Message(member, key);
    });
    if (condition.type == "ComparisonError" || condition.type == "InvalidSpecError") {
      application.conditions.push_back(std::move(condition));
    }
  });
}

void ReadStatus(ApplicationWalker& read, Value status, const SourcesReader& spec,
                Application& application) {
  if (read.live() != nullptr) read.live()->has_status = read.IsSet(status);
  read.Members(status, "status", [&](std::string_view key, Value member) {
    if (key == "sync") {
      ReadSync(read, member, spec, application);
    } else if (key == "health") {
      read.Members(member, key, [&](std::string_view field, Value text) {
        if (field == "status") application.health_status = read.Interned(text, field);
        if (field == "message") application.health_message = read.Message(text, field);
      });
    } else if (key == "operationState") {
      if (read.live() != nullptr) read.live()->has_operation_state_key = true;
      if (read.IsSet(member)) {
        application.operation_state = ReadOperationState(read, member, spec);
      }
    } else if (key == "history") {
      ReadHistory(read, member, spec, application);
    } else if (key == "conditions") {
      ReadConditions(read, member, application);
    } else if (key == "reconciledAt") {
      application.reconciled_at = read.Time(member, key);
    }
  });
}

// What was compared and deployed is mostly what `spec` has.
void ShareSources(Application& application) {
  application.compared_sources.ShareWith(application.sources);
  if (application.operation_state && application.operation_state->sync_result) {
    application.operation_state->sync_result->sources.ShareWith(application.sources);
  }
  if (application.last_deployed) {
    Sources& deployed = application.last_deployed->deployed.sources;
    deployed.ShareWith(application.sources);
    deployed.ShareWith(application.compared_sources);
  }
}

}  // namespace

absl::Status ReadApplication(simdjson::padded_string_view json, Application& application,
                             LiveParts* live) {
  thread_local simdjson::ondemand::parser parser;
  application = Application();
  if (live != nullptr) *live = LiveParts();
  ApplicationWalker read(live);
  SourcesReader spec(nullptr);
  simdjson::ondemand::document document;
  Value root;
  if (!read.Broken(parser.iterate(json).get(document)) &&
      !read.Broken(document.get_value().get(root))) {
    read.Members(root, "", [&](std::string_view key, Value member) {
      if (key == "metadata") {
        ReadMetadata(read, member, application);
      } else if (key == "spec") {
        ReadSpec(read, member, spec, application);
      } else if (key == "status") {
        ReadStatus(read, member, spec, application);
      } else if (key == "operation") {
        if (read.IsSet(member)) application.operation = ReadOperation(read, member);
      }
    });
  }
  if (application.name.ns.empty() || application.name.name.empty() ||
      application.resource_version.empty()) {
    return absl::InvalidArgumentError(base::StrCat(
        "an Application without metadata.namespace, metadata.name or metadata.resourceVersion",
        read.problem().empty() ? "" : ": ", read.problem()));
  }
  application.problem = read.problem();
  application.labels.shrink_to_fit();
  application.sync_revisions.shrink_to_fit();
  ShareSources(application);
  return absl::OkStatus();
}

}  // namespace gantry::argocd
