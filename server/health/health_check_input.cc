// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_check_input.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/desired_source.h"

namespace gantry::health {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr std::string_view kArgocdUpdate = "argocd-update";
constexpr char kApps[] = "apps";
constexpr char kName[] = "name";
constexpr char kNamespace[] = "namespace";
constexpr char kDesiredRevisions[] = "desiredRevisions";

// A null counts as absent.
const Value* Find(const Struct& object, const char* key) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end()) return nullptr;
  const auto kind = found->second.kind_case();
  return kind == Value::kNullValue || kind == Value::KIND_NOT_SET ? nullptr : &found->second;
}

class InputReader {
 public:
  InputReader(const std::string& default_namespace, std::vector<std::string>& issues)
      : default_namespace_(default_namespace), issues_(issues) {}

  std::vector<CheckedApplication> Read(const std::string& path, const Struct& input) {
    RefuseOtherFields(path, input, {kApps});
    const Value* apps = Find(input, kApps);
    const std::string apps_path = base::StrCat(path, ".", kApps);
    std::vector<CheckedApplication> applications;
    if (apps == nullptr) {
      Refuse(apps_path, "is missing, expected a list of Applications");
    } else if (!apps->has_list_value()) {
      Refuse(apps_path, "is not a list");
    } else if (apps->list_value().values().empty()) {
      Refuse(apps_path, "is empty, expected at least one Application");
    } else {
      for (int i = 0; i < apps->list_value().values_size(); ++i) {
        auto application =
            ReadApplication(base::StrCat(apps_path, "[", i, "]"), apps->list_value().values(i));
        if (application) applications.push_back(*std::move(application));
      }
    }
    return applications;
  }

 private:
  void Refuse(const std::string& path, std::string_view what) {
    issues_.push_back(base::StrCat(path, " ", what));
  }

  // A field that is not known may be what makes the difference, or a known one misspelled.
  void RefuseOtherFields(const std::string& path, const Struct& object,
                         const std::vector<std::string_view>& known) {
    std::vector<std::string> others;
    for (const auto& [key, value] : object.fields()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) others.push_back(key);
    }
    // The map's order changes from run to run.
    std::sort(others.begin(), others.end());
    for (const std::string& key : others) {
      Refuse(base::StrCat(path, ".", key), "is not a field of a health check");
    }
  }

  // Nothing when it was refused.
  std::optional<std::string> ReadText(const std::string& path, const Value* value) {
    if (value == nullptr) {
      Refuse(path, "is missing, expected a text");
    } else if (!value->has_string_value()) {
      Refuse(path, "is not a text");
    } else if (value->string_value().empty()) {
      Refuse(path, "is empty");
    } else {
      return value->string_value();
    }
    return std::nullopt;
  }

  std::optional<std::vector<std::string>> ReadRevisions(const std::string& path,
                                                        const Value* value) {
    std::vector<std::string> revisions;
    if (value == nullptr) return revisions;
    if (!value->has_list_value()) {
      Refuse(path, "is not a list");
      return std::nullopt;
    }
    for (const Value& revision : value->list_value().values()) {
      if (!revision.has_string_value()) {
        Refuse(base::StrCat(path, "[", revisions.size(), "]"), "is not a text");
        return std::nullopt;
      }
      revisions.push_back(revision.string_value());
    }
    return revisions;
  }

  std::optional<CheckedApplication> ReadApplication(const std::string& path, const Value& value) {
    if (!value.has_struct_value()) {
      Refuse(path, "is not an object");
      return std::nullopt;
    }
    const Struct& object = value.struct_value();
    RefuseOtherFields(path, object, {kName, kNamespace, kDesiredRevisions});
    const auto name = ReadText(base::StrCat(path, ".", kName), Find(object, kName));
    const Value* ns_value = Find(object, kNamespace);
    const auto ns = ns_value == nullptr ? default_namespace_
                                        : ReadText(base::StrCat(path, ".", kNamespace), ns_value);
    auto revisions =
        ReadRevisions(base::StrCat(path, ".", kDesiredRevisions), Find(object, kDesiredRevisions));
    if (!name || !ns || !revisions) return std::nullopt;
    return CheckedApplication{{*ns, *name}, *std::move(revisions)};
  }

  const std::optional<std::string> default_namespace_;
  std::vector<std::string>& issues_;
};

void Add(CheckedApplication application, HealthChecks& checks) {
  std::vector<std::string>& revisions = application.desired_revisions;
  const auto [place, added] =
      checks.desired_revisions.try_emplace(std::move(application.name), revisions);
  // One that wants nothing takes nothing back of what another wants.
  if (added || !argocd::AnyDesired(revisions)) return;
  // Other sources than before: what was wanted of those is not comparable.
  if (place->second.size() == revisions.size()) {
    for (std::size_t i = 0; i < revisions.size(); ++i) {
      if (revisions[i].empty()) revisions[i] = place->second[i];
    }
  }
  place->second = std::move(revisions);
}

}  // namespace

Struct ToInput(const std::vector<CheckedApplication>& applications) {
  Struct input;
  auto& apps = *(*input.mutable_fields())[kApps].mutable_list_value();
  for (const CheckedApplication& application : applications) {
    auto& fields = *apps.add_values()->mutable_struct_value()->mutable_fields();
    fields[kName].set_string_value(application.name.name);
    fields[kNamespace].set_string_value(application.name.ns);
    auto& revisions = *fields[kDesiredRevisions].mutable_list_value();
    for (const std::string& revision : application.desired_revisions) {
      revisions.add_values()->set_string_value(revision);
    }
  }
  return input;
}

std::vector<CheckedApplication> ReadInput(const Struct& input, const std::string& path,
                                          const std::string& default_namespace,
                                          std::vector<std::string>& issues) {
  return InputReader(default_namespace, issues).Read(path, input);
}

HealthChecks ReadHealthChecks(const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
                              const std::string& default_namespace) {
  HealthChecks read;
  for (int i = 0; i < checks.size(); ++i) {
    const std::string path = base::StrCat("health_checks[", i, "]");
    if (checks[i].uses() != kArgocdUpdate) {
      read.issues.push_back(base::StrCat(path, ".uses is ", base::Quote(checks[i].uses()),
                                         ", expected ", kArgocdUpdate));
      continue;
    }
    for (CheckedApplication& application : ReadInput(
             checks[i].input(), base::StrCat(path, ".input"), default_namespace, read.issues)) {
      Add(std::move(application), read);
    }
  }
  return read;
}

}  // namespace gantry::health
