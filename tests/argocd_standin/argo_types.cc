// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/argo_types.h"

#include <string>
#include <vector>

#include "tests/argocd_standin/json_access.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

enum class Kind {
  kText,
  kFlag,
  kNumber,
  kTime,      // text, and null when there is none
  kObject,    // part of the other: always written
  kOptional,  // an object that may be absent
  kTexts,
  kObjects,
  kTextMap,
  kAny,  // as it is
};

struct Field;
using Type = std::vector<Field>;

struct Field {
  const char* name;
  Kind kind = Kind::kText;
  const Type* type = nullptr;  // of objects
  bool always = false;         // also when it is empty
};

json Written(const Type& type, const json& object);

// What is written of one field; null: nothing.
json WrittenField(const Field& field, const json& value) {
  switch (field.kind) {
    case Kind::kText:
      return value.is_string() ? value : json("");
    case Kind::kFlag:
      return value.is_boolean() ? value : json(false);
    case Kind::kNumber:
      return value.is_number_integer() ? value : json(0);
    case Kind::kTime:
      return value.is_string() ? value : json();
    case Kind::kObject:
      return Written(*field.type, value);
    case Kind::kOptional:
      return value.is_object() ? Written(*field.type, value) : json();
    case Kind::kTexts: {
      json texts = json::array();
      if (value.is_array()) {
        for (const json& text : value) texts.push_back(text.is_string() ? text : json(""));
      }
      return texts;
    }
    case Kind::kObjects: {
      json objects = json::array();
      if (value.is_array()) {
        for (const json& object : value) objects.push_back(Written(*field.type, object));
      }
      return objects;
    }
    case Kind::kTextMap:
      return value.is_object() ? value : json::object();
    case Kind::kAny:
      return value;
  }
  return {};
}

bool IsEmpty(const Field& field, const json& written) {
  switch (field.kind) {
    case Kind::kText:
      return written == "";
    case Kind::kFlag:
      return written == false;
    case Kind::kNumber:
      return written == 0;
    case Kind::kTime:
    case Kind::kOptional:
    case Kind::kAny:
      return written.is_null();
    case Kind::kObject:
      return false;
    case Kind::kTexts:
    case Kind::kObjects:
    case Kind::kTextMap:
      return written.empty();
  }
  return false;
}

json Written(const Type& type, const json& object) {
  json written = json::object();
  for (const Field& field : type) {
    json value = WrittenField(field, At(object, {field.name}));
    if (field.always || !IsEmpty(field, value)) written[field.name] = std::move(value);
  }
  return written;
}

// The types, as of Argo CD 3.6. A field of which nothing else is said is a text that is left out
// when it is empty.
constexpr bool kAlways = true;

const Type kNameAndValue = {{"name", Kind::kText, nullptr, true},
                            {"value", Kind::kText, nullptr, true}};
const Type kHelmParameter = {{"name"}, {"value"}, {"forceString", Kind::kFlag}};
const Type kFileParameter = {{"name"}, {"path"}};
const Type kHelm = {{"valueFiles", Kind::kTexts},
                    {"parameters", Kind::kObjects, &kHelmParameter},
                    {"releaseName"},
                    {"values"},
                    {"fileParameters", Kind::kObjects, &kFileParameter},
                    {"version"},
                    {"passCredentials", Kind::kFlag},
                    {"ignoreMissingValueFiles", Kind::kFlag},
                    {"skipCrds", Kind::kFlag},
                    {"valuesObject", Kind::kAny},
                    {"namespace"},
                    {"kubeVersion"},
                    {"apiVersions", Kind::kTexts},
                    {"skipTests", Kind::kFlag},
                    {"skipSchemaValidation", Kind::kFlag}};
const Type kReplica = {{"name", Kind::kText, nullptr, kAlways}, {"count", Kind::kAny}};
const Type kKustomizePatch = {
    {"path"}, {"patch"}, {"target", Kind::kAny}, {"options", Kind::kTextMap}};
const Type kKustomize = {{"namePrefix"},
                         {"nameSuffix"},
                         {"images", Kind::kTexts},
                         {"commonLabels", Kind::kTextMap},
                         {"version"},
                         {"commonAnnotations", Kind::kTextMap},
                         {"forceCommonLabels", Kind::kFlag},
                         {"forceCommonAnnotations", Kind::kFlag},
                         {"namespace"},
                         {"commonAnnotationsEnvsubst", Kind::kFlag},
                         {"replicas", Kind::kObjects, &kReplica},
                         {"patches", Kind::kObjects, &kKustomizePatch},
                         {"components", Kind::kTexts},
                         {"ignoreMissingComponents", Kind::kFlag},
                         {"labelWithoutSelector", Kind::kFlag},
                         {"kubeVersion"},
                         {"apiVersions", Kind::kTexts},
                         {"labelIncludeTemplates", Kind::kFlag}};
const Type kJsonnetVariable = {{"name", Kind::kText, nullptr, kAlways},
                               {"value", Kind::kText, nullptr, kAlways},
                               {"code", Kind::kFlag}};
const Type kJsonnet = {{"extVars", Kind::kObjects, &kJsonnetVariable},
                       {"tlas", Kind::kObjects, &kJsonnetVariable},
                       {"libs", Kind::kTexts}};
// Unlike other objects that are part of another, `jsonnet` is left out when it is empty.
const Type kDirectory = {
    {"recurse", Kind::kFlag}, {"exclude"}, {"include"}, {"disableExtensionFilter", Kind::kFlag}};
const Type kPlugin = {
    {"name"}, {"env", Kind::kObjects, &kNameAndValue}, {"parameters", Kind::kAny}};
const Type kSource = {{"repoURL", Kind::kText, nullptr, kAlways},
                      {"path"},
                      {"targetRevision"},
                      {"helm", Kind::kOptional, &kHelm},
                      {"kustomize", Kind::kOptional, &kKustomize},
                      {"plugin", Kind::kOptional, &kPlugin},
                      {"chart"},
                      {"ref"},
                      {"name"},
                      {"tagPrefix"}};

const Type kApply = {{"force", Kind::kFlag}};
const Type kStrategy = {{"apply", Kind::kOptional, &kApply}, {"hook", Kind::kOptional, &kApply}};
const Type kOperationResource = {{"group"},
                                 {"kind", Kind::kText, nullptr, kAlways},
                                 {"name", Kind::kText, nullptr, kAlways},
                                 {"namespace"}};
const Type kInfo = {{"name", Kind::kText, nullptr, kAlways},
                    {"value", Kind::kText, nullptr, kAlways}};
const Type kInitiator = {{"username"}, {"automated", Kind::kFlag}};
const Type kBackoff = {{"duration"}, {"factor", Kind::kAny}, {"maxDuration"}};
const Type kRetry = {
    {"limit", Kind::kNumber}, {"backoff", Kind::kOptional, &kBackoff}, {"refresh", Kind::kFlag}};
const Type kMetadata = {{"labels", Kind::kTextMap}, {"annotations", Kind::kTextMap}};
const Type kDestination = {{"server"}, {"namespace"}, {"name"}};
const Type kIgnoredDifferences = {{"group"},
                                  {"kind", Kind::kText, nullptr, kAlways},
                                  {"name"},
                                  {"namespace"},
                                  {"jsonPointers", Kind::kTexts},
                                  {"jqPathExpressions", Kind::kTexts},
                                  {"managedFieldsManagers", Kind::kTexts}};
const Type kCondition = {{"type", Kind::kText, nullptr, kAlways},
                         {"message", Kind::kText, nullptr, kAlways},
                         {"lastTransitionTime", Kind::kTime}};
const Type kHealth = {{"status"}, {"message"}, {"lastTransitionTime", Kind::kTime}};
const Type kResource = {{"group"},
                        {"version"},
                        {"kind"},
                        {"namespace"},
                        {"name"},
                        {"status"},
                        {"health", Kind::kOptional, &kHealth},
                        {"hook", Kind::kFlag},
                        {"requiresPruning", Kind::kFlag},
                        {"syncWave", Kind::kNumber},
                        {"requiresDeletionConfirmation", Kind::kFlag}};
const Type kSummary = {
    {"externalURLs", Kind::kTexts}, {"images", Kind::kTexts}, {"isAppOfApps", Kind::kFlag}};
const Type kHydrator = {{"lastSuccessfulOperation", Kind::kAny},
                        {"currentOperation", Kind::kAny},
                        {"lastComparedDryRevision"}};
const Type kResourceResult = {{"group", Kind::kText, nullptr, kAlways},
                              {"version", Kind::kText, nullptr, kAlways},
                              {"kind", Kind::kText, nullptr, kAlways},
                              {"namespace", Kind::kText, nullptr, kAlways},
                              {"name", Kind::kText, nullptr, kAlways},
                              {"status"},
                              {"message"},
                              {"hookType"},
                              {"hookPhase"},
                              {"syncPhase"},
                              {"images", Kind::kTexts}};

// Sources are written by a function: their `directory` is not like other objects.
json WrittenSources(const json& value) {
  json sources = json::array();
  if (value.is_array()) {
    for (const json& source : value) sources.push_back(WrittenSource(source));
  }
  return sources;
}

// Puts `source`, which is part of the object, and `sources` into what is written of it.
void AddSources(const json& object, json& written) {
  written["source"] = WrittenSource(At(object, {"source"}));
  json sources = WrittenSources(At(object, {"sources"}));
  if (!sources.empty()) written["sources"] = std::move(sources);
}

}  // namespace

json WrittenSource(const json& source) {
  json written = Written(kSource, source);
  const json& directory = At(source, {"directory"});
  if (directory.is_object()) {
    json& into = written["directory"] = Written(kDirectory, directory);
    json jsonnet = Written(kJsonnet, At(directory, {"jsonnet"}));
    if (!jsonnet.empty()) into["jsonnet"] = std::move(jsonnet);
  }
  return written;
}

json WrittenOperation(const json& operation) {
  static const Type kSync = {{"revision"},
                             {"prune", Kind::kFlag},
                             {"dryRun", Kind::kFlag},
                             {"syncStrategy", Kind::kOptional, &kStrategy},
                             {"resources", Kind::kObjects, &kOperationResource},
                             {"manifests", Kind::kTexts},
                             {"syncOptions", Kind::kTexts},
                             {"revisions", Kind::kTexts},
                             {"autoHealAttemptsCount", Kind::kNumber}};
  static const Type kOperation = {{"sync", Kind::kOptional, &kSync},
                                  {"initiatedBy", Kind::kObject, &kInitiator},
                                  {"info", Kind::kObjects, &kInfo},
                                  {"retry", Kind::kObject, &kRetry}};
  json written = Written(kOperation, operation);
  if (written.contains("sync")) {
    json& sync = written["sync"];
    const json& source = At(operation, {"sync", "source"});
    if (source.is_object()) sync["source"] = WrittenSource(source);
    json sources = WrittenSources(At(operation, {"sync", "sources"}));
    if (!sources.empty()) sync["sources"] = std::move(sources);
  }
  return written;
}

json WrittenOperationState(const json& state) {
  static const Type kSyncResult = {{"resources", Kind::kObjects, &kResourceResult},
                                   {"revision", Kind::kText, nullptr, kAlways},
                                   {"revisions", Kind::kTexts},
                                   {"managedNamespaceMetadata", Kind::kOptional, &kMetadata}};
  static const Type kState = {{"phase", Kind::kText, nullptr, kAlways},
                              {"message"},
                              {"syncResult", Kind::kOptional, &kSyncResult},
                              {"startedAt", Kind::kTime, nullptr, kAlways},
                              {"finishedAt", Kind::kTime},
                              {"retryCount", Kind::kNumber}};
  json written = Written(kState, state);
  written["operation"] = WrittenOperation(At(state, {"operation"}));
  if (written.contains("syncResult")) {
    AddSources(At(state, {"syncResult"}), written["syncResult"]);
  }
  return written;
}

json WrittenHistoryEntry(const json& entry) {
  static const Type kEntry = {{"revision"},
                              {"deployedAt", Kind::kTime, nullptr, kAlways},
                              {"id", Kind::kNumber, nullptr, kAlways},
                              {"deployStartedAt", Kind::kTime},
                              {"revisions", Kind::kTexts},
                              {"initiatedBy", Kind::kObject, &kInitiator}};
  json written = Written(kEntry, entry);
  AddSources(entry, written);
  return written;
}

json WrittenStatus(const json& status) {
  static const Type kComparedTo = {{"destination", Kind::kObject, &kDestination},
                                   {"ignoreDifferences", Kind::kObjects, &kIgnoredDifferences}};
  static const Type kSync = {{"status", Kind::kText, nullptr, kAlways},
                             {"comparedTo", Kind::kObject, &kComparedTo},
                             {"revision"},
                             {"revisions", Kind::kTexts}};
  static const Type kStatus = {{"resources", Kind::kObjects, &kResource},
                               {"sync", Kind::kObject, &kSync},
                               {"health", Kind::kObject, &kHealth},
                               {"conditions", Kind::kObjects, &kCondition},
                               {"reconciledAt", Kind::kTime},
                               {"observedAt", Kind::kTime},
                               {"sourceType"},
                               {"summary", Kind::kObject, &kSummary},
                               {"resourceHealthSource"},
                               {"sourceTypes", Kind::kTexts},
                               {"controllerNamespace"},
                               {"sourceHydrator", Kind::kObject, &kHydrator}};
  json written = Written(kStatus, status);
  AddSources(At(status, {"sync", "comparedTo"}), written["sync"]["comparedTo"]);
  const json& history = At(status, {"history"});
  if (history.is_array() && !history.empty()) {
    for (const json& entry : history) written["history"].push_back(WrittenHistoryEntry(entry));
  }
  const json& state = At(status, {"operationState"});
  if (state.is_object()) written["operationState"] = WrittenOperationState(state);
  return written;
}

json NormalizedSource(const json& source) {
  json normalized = source;
  if (!normalized.is_object()) return normalized;
  const json written = WrittenSource(source);
  for (const char* tool : {"helm", "kustomize"}) {
    if (written.contains(tool) && written[tool].empty()) normalized.erase(tool);
  }
  if (written.contains("directory") && written["directory"].empty()) normalized.erase("directory");
  return normalized;
}

}  // namespace gantry::argocd_standin
