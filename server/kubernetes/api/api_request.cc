// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/api_request.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {
namespace {

// The reason why `segment` cannot stand in a path; empty when it can.
std::string_view WhyRefused(std::string_view segment) {
  if (segment.empty()) return "is empty";
  if (segment == "." || segment == "..") return "is a relative path";
  if (segment.find('/') != std::string_view::npos) return "contains '/'";
  if (segment.find('%') != std::string_view::npos) return "contains '%'";
  return "";
}

bool ConcernsCollection(Verb verb) {
  return verb == Verb::kList || verb == Verb::kWatch || verb == Verb::kCreate;
}

}  // namespace

std::string_view VerbName(Verb verb) {
  switch (verb) {
    case Verb::kGet:
      return "get";
    case Verb::kList:
      return "list";
    case Verb::kWatch:
      return "watch";
    case Verb::kCreate:
      return "create";
    case Verb::kUpdate:
      return "update";
    case Verb::kPatch:
      return "patch";
    case Verb::kDelete:
      return "delete";
  }
  return "";
}

std::string_view MethodOf(Verb verb) {
  switch (verb) {
    case Verb::kGet:
    case Verb::kList:
    case Verb::kWatch:
      return "GET";
    case Verb::kCreate:
      return "POST";
    case Verb::kUpdate:
      return "PUT";
    case Verb::kPatch:
      return "PATCH";
    case Verb::kDelete:
      return "DELETE";
  }
  return "";
}

bool IsRead(Verb verb) { return MethodOf(verb) == "GET"; }

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded.push_back(c);
    } else {
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 0xf]);
    }
  }
  return encoded;
}

absl::StatusOr<std::string> BuildPath(const ApiTarget& target) {
  const auto refused = [&](std::string_view what, std::string_view value, std::string_view why) {
    return MakeError({.kind = ErrorKind::kRefused, .outcome = WriteOutcome::kNotWritten},
                     base::StrCat(Describe(target), " was not sent: the ", what, " \"",
                                  absl::CEscape(base::ToAbsl(value)), "\" ", why));
  };
  std::string path = target.resource.group.empty()
                         ? base::StrCat("/api/", PercentEncoded(target.resource.version))
                         : base::StrCat("/apis/", PercentEncoded(target.resource.group), "/",
                                        PercentEncoded(target.resource.version));
  const bool all_namespaces =
      target.ns.empty() && (target.verb == Verb::kList || target.verb == Verb::kWatch);
  if (target.namespaced && !all_namespaces) {
    if (const std::string_view why = WhyRefused(target.ns); !why.empty()) {
      return refused("namespace", target.ns, why);
    }
    base::StrAppend(&path, "/namespaces/", PercentEncoded(target.ns));
  }
  base::StrAppend(&path, "/", PercentEncoded(target.resource.plural));
  if (!ConcernsCollection(target.verb)) {
    if (const std::string_view why = WhyRefused(target.name); !why.empty()) {
      return refused("name", target.name, why);
    }
    base::StrAppend(&path, "/", PercentEncoded(target.name));
  }
  if (!target.subresource.empty()) {
    base::StrAppend(&path, "/", PercentEncoded(target.subresource));
  }
  std::string_view separator = "?";
  for (const auto& [key, value] : target.query) {
    base::StrAppend(&path, separator, PercentEncoded(key), "=", PercentEncoded(value));
    separator = "&";
  }
  return path;
}

std::string Describe(const ApiTarget& target) {
  std::string text = base::StrCat(VerbName(target.verb), " ", target.resource.plural);
  if (!target.resource.group.empty()) base::StrAppend(&text, ".", target.resource.group);
  if (!target.subresource.empty()) base::StrAppend(&text, "/", target.subresource);
  const std::string ns = absl::CEscape(base::ToAbsl(target.ns));
  const std::string name = absl::CEscape(base::ToAbsl(target.name));
  if (!target.name.empty() && target.namespaced) {
    base::StrAppend(&text, " ", ns, "/", name);
  } else if (!target.name.empty()) {
    base::StrAppend(&text, " ", name);
  } else if (!target.ns.empty()) {
    base::StrAppend(&text, " in namespace ", ns);
  } else if (target.namespaced) {
    base::StrAppend(&text, " in all namespaces");
  }
  return text;
}

}  // namespace gantry::kubernetes
