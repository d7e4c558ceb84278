// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/list_options.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "tests/simulator/http_server.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr char kTokenVersion[] = "meta.k8s.io/v1";

Result<std::int64_t> ParseInteger(const std::string& text) {
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) {
    return BadRequest(StrCat("strconv.ParseInt: parsing \"", text, "\": invalid syntax"));
  }
  return number;
}

bool IsTrue(const std::string& text) {
  return !absl::EqualsIgnoreCase(text, "false") && text != "0";
}

Cause IsForbidden(const char* field, const std::string& why) {
  return {"FieldValueForbidden", StrCat("Forbidden: ", why), field};
}

Cause IsNotSupported(const std::string& match, const char* supported) {
  return {"FieldValueNotSupported",
          StrCat("Unsupported value: \"", match, "\": supported values: ", supported),
          "resourceVersionMatch"};
}

constexpr char kMatch[] = "resourceVersionMatch";
constexpr char kInitialEvents[] = "sendInitialEvents";
constexpr char kContinued[] = "resourceVersionMatch is forbidden when continue is provided";

std::vector<Cause> CheckWatch(const ListOptions& options, bool initial_events) {
  std::vector<Cause> causes;
  const std::string& match = options.version_match;
  if (options.send_initial_events) {
    if (match != "NotOlderThan") {
      causes.push_back(IsForbidden(
          kMatch, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if (!initial_events) {
      causes.push_back(IsForbidden(kInitialEvents,
                                   "sendInitialEvents is forbidden for watch unless the WatchList "
                                   "feature gate is enabled"));
    }
  }
  if (match.empty()) return causes;
  if (!options.send_initial_events) {
    causes.push_back(IsForbidden(
        kMatch,
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
  }
  if (match != "NotOlderThan") causes.push_back(IsNotSupported(match, "\"NotOlderThan\""));
  if (!options.continue_text.empty()) causes.push_back(IsForbidden(kMatch, kContinued));
  return causes;
}

std::vector<Cause> CheckList(const ListOptions& options) {
  std::vector<Cause> causes;
  const std::string& match = options.version_match;
  if (!match.empty()) {
    if (options.version_text.empty()) {
      causes.push_back(IsForbidden(
          kMatch, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    }
    if (!options.continue_text.empty()) causes.push_back(IsForbidden(kMatch, kContinued));
    if (match != "Exact" && match != "NotOlderThan") {
      causes.push_back(IsNotSupported(match, "\"Exact\", \"NotOlderThan\", \"\""));
    }
    if (match == "Exact" && options.version_text == "0") {
      causes.push_back(IsForbidden(
          kMatch, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
    }
  }
  if (options.send_initial_events) {
    causes.push_back(IsForbidden(kInitialEvents, "sendInitialEvents is forbidden for list"));
  }
  return causes;
}

}  // namespace

Result<std::uint64_t> ParseVersion(const std::string& text) {
  std::uint64_t number = 0;
  if (text.empty() || absl::SimpleAtoi(text, &number)) return number;
  return InternalMessage(StrCat("resourceVersion: Invalid value: \"", text,
                                "\": strconv.ParseUint: parsing \"", text, "\": invalid syntax"));
}

std::string ContinueToken::Encode(bool in_namespace) const {
  std::string start = in_namespace ? name : StrCat(ns, "/", name);
  start.push_back('\0');
  const json token = {
      {"v", kTokenVersion},
      {"rv", resource_version ? static_cast<std::int64_t>(*resource_version) : std::int64_t{-1}},
      {"start", start}};
  std::string encoded = absl::WebSafeBase64Escape(token.dump());
  while (!encoded.empty() && encoded.back() == '=') encoded.pop_back();
  return encoded;
}

Result<ContinueToken> ContinueToken::Decode(const std::string& text, const std::string& ns) {
  const auto invalid = [](const std::string& why) {
    return BadRequest("invalid continue token: continue key is not valid: " + why);
  };
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(text, &decoded)) {
    return invalid("illegal base64 data");
  }
  const json token = json::parse(decoded, nullptr, false);
  if (!token.is_object()) {
    return invalid(
        StrCat("invalid character '", decoded.substr(0, 1), "' looking for beginning of value"));
  }
  std::string start = TextAt(token, "start");
  if (TextAt(token, "v") != kTokenVersion) {
    return invalid(StrCat("server does not recognize this encoded version ", TextAt(token, "v")));
  }
  const auto version = token.find("rv");
  if (version == token.end() || !version->is_number_integer() || *version == 0) {
    return invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  }
  if (start.empty() || start.back() != '\0') return invalid("encoded start key empty");
  start.pop_back();
  ContinueToken result;
  if (*version > 0) result.resource_version = version->get<std::uint64_t>();
  result.ns = ns;
  result.name = start;
  if (ns.empty()) {
    const std::size_t slash = start.find('/');
    if (slash != std::string::npos) {
      result.ns = start.substr(0, slash);
      result.name = start.substr(slash + 1);
    }
  }
  return result;
}

Result<ListOptions> ListOptions::Parse(std::string_view query, const Resource& resource,
                                       bool initial_events) {
  ListOptions options;
  std::string labels;
  std::string fields;
  for (const auto& [name, value] : QueryParameters(query)) {
    if (name == "labelSelector") labels = value;
    if (name == "fieldSelector") fields = value;
    if (name == "continue") options.continue_text = value;
    if (name == "resourceVersion") options.version_text = value;
    if (name == kMatch) options.version_match = value;
    if (name == "watch") options.watch = IsTrue(value);
    if (name == "allowWatchBookmarks") options.bookmarks = IsTrue(value);
    if (name == kInitialEvents) options.send_initial_events = IsTrue(value);
    if (name == "limit" || name == "timeoutSeconds") {
      const Result<std::int64_t> number = ParseInteger(value);
      if (!number.ok()) return number.error();
      if (name == "timeoutSeconds") {
        options.timeout_seconds = *number;
      } else if (*number > 0) {
        options.limit = static_cast<std::size_t>(*number);
      }
    }
  }
  Result<LabelSelector> by_labels = LabelSelector::Parse(labels);
  if (!by_labels.ok()) return by_labels.error();
  options.labels = *std::move(by_labels);
  Result<FieldSelector> by_fields = FieldSelector::Parse(fields, [&](const std::string& field) {
    const auto& known = resource.field_labels;
    return field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced) ||
           std::find(known.begin(), known.end(), field) != known.end();
  });
  if (!by_fields.ok()) return by_fields.error();
  options.fields = *std::move(by_fields);
  // A watch from nowhere asks for what is there, in whichever way it was put.
  const bool from_nowhere = options.version_text.empty() || options.version_text == "0";
  if (initial_events && options.watch && from_nowhere && !options.send_initial_events &&
      options.version_match.empty()) {
    options.send_initial_events = true;
    options.version_match = "NotOlderThan";
  }
  const std::vector<Cause> causes =
      options.watch ? CheckWatch(options, initial_events) : CheckList(options);
  if (!causes.empty()) return Invalid({"meta.k8s.io", "ListOptions"}, "", causes);
  return options;
}

}  // namespace gantry::simulator
