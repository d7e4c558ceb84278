// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/observed_application.h"

#include <simdjson.h>

#include <algorithm>

#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"

namespace gantry::argocd {
namespace {

namespace ondemand = simdjson::ondemand;
using base::InternedString;
using ondemand::json_type;
using ondemand::value;

std::string_view TypeName(json_type type) {
  switch (type) {
    case json_type::array:
      return "an array";
    case json_type::object:
      return "an object";
    case json_type::string:
      return "a string";
    case json_type::boolean:
      return "a boolean";
    case json_type::null:
      return "null";
    default:
      return "a number";
  }
}

std::string Cut(std::string_view text) { return base::CutToBytes(text, kMaxObservedMessageBytes); }

// Walks through one document, front to back, once. Keeps the first thing that is wrong. Lives for
// one ObserveApplication.
class StreamReader {
 public:
  // Calls `visit` with each member's key and value; null is no member. The order is the document's.
  template <typename Visit>
  void Members(value object, std::string_view name, const Visit& visit) {
    if (!Is(object, name, json_type::object)) return;
    ondemand::object members;
    if (Broken(object.get_object().get(members))) return;
    for (auto field : members) {
      std::string_view key;
      value member;
      if (Broken(field.unescaped_key().get(key)) || Broken(field.value().get(member))) return;
      visit(key, member);
      if (broken_) return;
    }
  }

  template <typename Visit>
  void Items(value array, std::string_view name, const Visit& visit) {
    if (!Is(array, name, json_type::array)) return;
    ondemand::array items;
    if (Broken(array.get_array().get(items))) return;
    for (auto element : items) {
      value item;
      if (Broken(element.get(item))) return;
      visit(item);
      if (broken_) return;
    }
  }

  std::string_view Text(value string, std::string_view name) {
    std::string_view text;
    if (Is(string, name, json_type::string)) Broken(string.get_string().get(text));
    return text;
  }

  InternedString Interned(value string, std::string_view name) {
    return InternedString(Text(string, name));
  }

  bool Bool(value boolean, std::string_view name) {
    bool found = false;
    if (Is(boolean, name, json_type::boolean)) Broken(boolean.get_bool().get(found));
    return found;
  }

  std::vector<InternedString> Strings(value array, std::string_view name) {
    std::vector<InternedString> strings;
    Items(array, name, [&](value item) { strings.push_back(Interned(item, name)); });
    return strings;
  }

  std::optional<absl::Time> Time(value string, std::string_view name) {
    const std::string_view text = Text(string, name);
    if (text.empty()) return std::nullopt;
    absl::Time time;
    std::string error;
    // absl also reads "infinite-future" and "infinite-past".
    if (!absl::ParseTime(absl::RFC3339_full, base::ToAbsl(text), &time, &error) ||
        time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
      Fail(base::StrCat("its field ", name, " is \"", text, "\", expected an RFC 3339 time"));
      return std::nullopt;
    }
    return time;
  }

  // False, and told unless it is null, when the value is of another type.
  bool Is(value found, std::string_view name, json_type expected) {
    json_type type;
    if (broken_ || Broken(found.type().get(type))) return false;
    if (type == expected) return true;
    if (type != json_type::null) {
      Fail(base::StrCat("its field ", name, " is ", TypeName(type), ", expected ",
                        TypeName(expected)));
    }
    return false;
  }

  bool IsSet(value found) {
    json_type type;
    return !broken_ && !Broken(found.type().get(type)) && type != json_type::null;
  }

  // The document cannot be walked any further.
  bool Broken(simdjson::error_code error) {
    if (error == simdjson::SUCCESS) return false;
    broken_ = true;
    Fail(base::StrCat("it is not valid JSON: ", simdjson::error_message(error)));
    return true;
  }

  void Fail(std::string message) {
    if (problem_.empty()) problem_ = std::move(message);
  }

  const std::string& problem() const { return problem_; }

 private:
  bool broken_ = false;
  std::string problem_;
};

void ReadMetadata(StreamReader& read, value metadata, ObservedApplication& application) {
  read.Members(metadata, "metadata", [&](std::string_view key, value member) {
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
    } else if (key == "labels") {
      read.Members(member, key, [&](std::string_view label, value text) {
        if (!read.IsSet(text)) return;
        InternedString name(label);
        application.labels.emplace_back(std::move(name), read.Interned(text, "labels"));
      });
    } else if (key == "annotations") {
      read.Members(member, key, [&](std::string_view annotation, value text) {
        if (annotation == kAuthorizedStageAnnotation) {
          if (read.IsSet(text)) application.authorized_stage = read.Interned(text, "annotations");
        } else if (annotation == kRefreshAnnotation) {
          if (read.IsSet(text)) application.refresh = read.Interned(text, "annotations");
        } else if (annotation == kSkipReconcileAnnotation) {
          application.skip_reconcile = read.Text(text, "annotations") == "true";
        }
      });
    }
  });
  std::sort(application.labels.begin(), application.labels.end());
}

ObservedSource ReadSource(StreamReader& read, value json) {
  ObservedSource source;
  read.Members(json, "source", [&](std::string_view key, value member) {
    if (key == "repoURL") {
      source.repo_url = read.Interned(member, key);
    } else if (key == "chart") {
      source.chart = read.Interned(member, key);
    } else if (key == "targetRevision") {
      source.target_revision = read.Interned(member, key);
    } else if (key == "ref") {
      source.has_ref = !read.Text(member, key).empty();
    } else if (key == "path") {
      source.has_path = !read.Text(member, key).empty();
    } else if (key == "directory") {
      source.has_directory = read.IsSet(member);
    } else if (key == "plugin") {
      source.has_plugin = read.IsSet(member);
    } else if (key == "kustomize") {
      source.has_kustomize = read.IsSet(member);
    } else if (key == "helm") {
      source.has_helm = read.IsSet(member);
    }
  });
  return source;
}

void ReadSpec(StreamReader& read, value spec, ObservedApplication& application) {
  std::optional<ObservedSource> single;
  read.Members(spec, "spec", [&](std::string_view key, value member) {
    if (key == "source") {
      if (read.IsSet(member)) single = ReadSource(read, member);
    } else if (key == "sources") {
      read.Items(member, key,
                 [&](value item) { application.sources.push_back(ReadSource(read, item)); });
    } else if (key == "sourceHydrator") {
      application.has_source_hydrator = read.IsSet(member);
    }
  });
  application.multi_source = !application.sources.empty();
  if (!application.multi_source && single) application.sources.push_back(*std::move(single));
}

ObservedOperation ReadOperation(StreamReader& read, value json) {
  ObservedOperation operation;
  read.Members(json, "operation", [&](std::string_view key, value member) {
    if (key == "sync") {
      operation.has_sync = read.IsSet(member);
    } else if (key == "initiatedBy") {
      read.Members(member, key, [&](std::string_view field, value text) {
        if (field == "username") operation.initiated_by = read.Interned(text, field);
        if (field == "automated") operation.automated = read.Bool(text, field);
      });
    } else if (key == "info") {
      read.Items(member, key, [&](value entry) {
        std::string name;
        InternedString content;
        read.Members(entry, "info", [&](std::string_view field, value text) {
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
  });
  return operation;
}

// What two fields say together: the list, or where that is empty, the single one.
template <typename T>
std::vector<T> ListOr(std::vector<T> list, std::optional<T> single) {
  if (list.empty() && single) list.push_back(*std::move(single));
  return list;
}

InternedString TargetRevision(StreamReader& read, value source) {
  InternedString revision;
  read.Members(source, "source", [&](std::string_view key, value member) {
    if (key == "targetRevision") revision = read.Interned(member, key);
  });
  return revision;
}

std::vector<InternedString> TargetRevisions(StreamReader& read, value sources) {
  std::vector<InternedString> revisions;
  read.Items(sources, "sources",
             [&](value source) { revisions.push_back(TargetRevision(read, source)); });
  return revisions;
}

ObservedSyncResult ReadSyncResult(StreamReader& read, value json) {
  std::vector<InternedString> revisions;
  InternedString revision;
  std::vector<InternedString> targets;
  std::optional<InternedString> target;
  read.Members(json, "syncResult", [&](std::string_view key, value member) {
    if (key == "revisions") {
      revisions = read.Strings(member, key);
    } else if (key == "revision") {
      revision = read.Interned(member, key);
    } else if (key == "sources") {
      targets = TargetRevisions(read, member);
    } else if (key == "source") {
      if (read.IsSet(member)) target = TargetRevision(read, member);
    }
  });
  return {ListOr(std::move(revisions), std::optional(std::move(revision))),
          ListOr(std::move(targets), std::move(target))};
}

ObservedOperationState ReadOperationState(StreamReader& read, value json) {
  ObservedOperationState state;
  read.Members(json, "operationState", [&](std::string_view key, value member) {
    if (key == "phase") {
      state.phase = read.Interned(member, key);
    } else if (key == "message") {
      state.message = Cut(read.Text(member, key));
    } else if (key == "startedAt") {
      state.started_at = read.Time(member, key);
    } else if (key == "finishedAt") {
      state.finished_at = read.Time(member, key);
    } else if (key == "operation") {
      state.operation = ReadOperation(read, member);
    } else if (key == "syncResult") {
      if (read.IsSet(member)) state.sync_result = ReadSyncResult(read, member);
    }
  });
  return state;
}

void ReadSync(StreamReader& read, value sync, ObservedApplication& application) {
  std::optional<InternedString> revision;
  read.Members(sync, "sync", [&](std::string_view key, value member) {
    if (key == "status") {
      application.sync_status = read.Interned(member, key);
    } else if (key == "revision") {
      InternedString found = read.Interned(member, key);
      if (!found.empty()) revision = std::move(found);
    } else if (key == "revisions") {
      application.sync_revisions = read.Strings(member, key);
    } else if (key == "comparedTo") {
      std::vector<InternedString> targets;
      std::optional<InternedString> target;
      read.Members(member, key, [&](std::string_view field, value compared) {
        if (field == "sources") targets = TargetRevisions(read, compared);
        if (field == "source" && read.IsSet(compared)) target = TargetRevision(read, compared);
      });
      application.compared_target_revisions = ListOr(std::move(targets), std::move(target));
    }
  });
  application.sync_revisions = ListOr(std::move(application.sync_revisions), std::move(revision));
}

void ReadConditions(StreamReader& read, value conditions, ObservedApplication& application) {
  read.Items(conditions, "conditions", [&](value entry) {
    ObservedCondition condition;
    read.Members(entry, "conditions", [&](std::string_view key, value member) {
      if (key == "type") condition.type = read.Interned(member, key);
      if (key == "message") condition.message = Cut(read.Text(member, key));
    });
    if (condition.type == "ComparisonError" || condition.type == "InvalidSpecError") {
      application.conditions.push_back(std::move(condition));
    }
  });
}

void ReadStatus(StreamReader& read, value status, ObservedApplication& application) {
  read.Members(status, "status", [&](std::string_view key, value member) {
    if (key == "sync") {
      ReadSync(read, member, application);
    } else if (key == "health") {
      read.Members(member, key, [&](std::string_view field, value text) {
        if (field == "status") application.health_status = read.Interned(text, field);
        if (field == "message") application.health_message = Cut(read.Text(text, field));
      });
    } else if (key == "operationState") {
      if (read.IsSet(member)) application.operation_state = ReadOperationState(read, member);
    } else if (key == "conditions") {
      ReadConditions(read, member, application);
    } else if (key == "reconciledAt") {
      application.reconciled_at = read.Time(member, key);
    }
  });
}

Operation ToOperation(const ObservedOperation& observed) {
  Operation operation;
  operation.initiated_by = observed.initiated_by.str();
  operation.automated = observed.automated;
  operation.has_sync = observed.has_sync;
  if (observed.promotion) {
    operation.info.emplace(std::string(kPromotionInfo), observed.promotion->str());
  }
  if (observed.attempt) operation.info.emplace(std::string(kAttemptInfo), observed.attempt->str());
  return operation;
}

std::vector<std::string> ToStrings(const std::vector<InternedString>& interned) {
  std::vector<std::string> strings;
  strings.reserve(interned.size());
  for (const InternedString& string : interned) strings.push_back(string.str());
  return strings;
}

}  // namespace

absl::Status ObserveApplication(simdjson::padded_string_view json,
                                ObservedApplication& application) {
  thread_local ondemand::parser parser;
  application = ObservedApplication();
  StreamReader read;
  ondemand::document document;
  value root;
  if (!read.Broken(parser.iterate(json).get(document)) &&
      !read.Broken(document.get_value().get(root))) {
    read.Members(root, "", [&](std::string_view key, value member) {
      if (key == "metadata") {
        ReadMetadata(read, member, application);
      } else if (key == "spec") {
        ReadSpec(read, member, application);
      } else if (key == "status") {
        ReadStatus(read, member, application);
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
  application.sources.shrink_to_fit();
  application.sync_revisions.shrink_to_fit();
  return absl::OkStatus();
}

Application ToApplication(const ObservedApplication& observed) {
  Application application;
  application.name = observed.name;
  application.uid = observed.uid;
  application.resource_version = observed.resource_version;
  application.deleting = observed.deletion_requested_at.has_value();
  for (const auto& [key, text] : observed.labels) application.labels[key.str()] = text.str();
  auto& annotations = application.annotations;
  if (observed.authorized_stage) {
    annotations[std::string(kAuthorizedStageAnnotation)] = observed.authorized_stage->str();
  }
  if (observed.refresh) annotations[std::string(kRefreshAnnotation)] = observed.refresh->str();
  if (observed.skip_reconcile) annotations[std::string(kSkipReconcileAnnotation)] = "true";
  application.has_source_hydrator = observed.has_source_hydrator;
  application.multi_source = observed.multi_source;
  for (const ObservedSource& source : observed.sources) {
    Source& added = application.sources.emplace_back();
    added.repo_url = source.repo_url.str();
    added.chart = source.chart.str();
    added.target_revision = source.target_revision.str();
    added.has_ref = source.has_ref;
    added.has_path = source.has_path;
    added.has_directory = source.has_directory;
    added.has_plugin = source.has_plugin;
    if (source.has_kustomize) added.kustomize = nlohmann::json::object();
    if (source.has_helm) added.helm = nlohmann::json::object();
  }
  if (observed.operation) application.operation = ToOperation(*observed.operation);
  application.has_status = true;
  if (const auto& state = observed.operation_state) {
    application.has_operation_state_key = true;
    OperationState& made = application.operation_state.emplace();
    made.phase = state->phase.str();
    made.message = state->message;
    made.finished_at = state->finished_at;
    made.operation = ToOperation(state->operation);
    if (state->sync_result) {
      made.sync_result = SyncResult{ToStrings(state->sync_result->revisions),
                                    ToStrings(state->sync_result->target_revisions)};
    }
  }
  return application;
}

}  // namespace gantry::argocd
