// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_JSON_WALKER_H_
#define GANTRY_SERVER_ARGOCD_JSON_WALKER_H_

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "base/interned_string.h"

namespace gantry::argocd {

// Walks through one JSON document, front to back, once, so that the code that reads it stays a
// plain list of fields. Null is no value everywhere. What has another type than is expected is told
// in problem(), the first of it, and read as absent; what cannot be walked through ends the walk.
// Lives as long as one read; one thread.
class JsonWalker {
 public:
  using Value = simdjson::ondemand::value;
  using Type = simdjson::ondemand::json_type;

  using Object = simdjson::ondemand::object;
  using Array = simdjson::ondemand::array;

  // Calls `visit` with each member's key and value, nulls included, in the order of the document.
  template <typename Visit>
  void Members(Value object, std::string_view name, const Visit& visit) {
    if (!Is(object, name, Type::object)) return;
    Object members;
    if (!Broken(object.get_object().get(members))) MembersOf(members, visit);
  }
  template <typename Visit>
  void MembersOf(Object object, const Visit& visit) {
    for (auto field : object) {
      std::string_view key;
      Value member;
      if (Broken(field.unescaped_key().get(key)) || Broken(field.value().get(member))) return;
      visit(key, member);
      if (broken_) return;
    }
  }

  template <typename Visit>
  void Items(Value array, std::string_view name, const Visit& visit) {
    if (!Is(array, name, Type::array)) return;
    Array items;
    if (!Broken(array.get_array().get(items))) ItemsOf(items, visit);
  }
  template <typename Visit>
  void ItemsOf(Array array, const Visit& visit) {
    for (auto element : array) {
      Value item;
      if (Broken(element.get(item))) return;
      visit(item);
      if (broken_) return;
    }
  }

  // The JSON text of an object or an array, which can be walked through afterwards.
  std::string_view TextOf(Object& object);
  std::string_view TextOf(Array& array);

  std::string_view Text(Value string, std::string_view name);
  base::InternedString Interned(Value string, std::string_view name) {
    return base::InternedString(Text(string, name));
  }
  bool Bool(Value boolean, std::string_view name);
  std::vector<base::InternedString> Strings(Value array, std::string_view name);
  // An RFC 3339 time; nothing for an empty text.
  std::optional<absl::Time> Time(Value string, std::string_view name);

  // False, and told unless it is null, when the value is of another type.
  bool Is(Value found, std::string_view name, Type expected);
  // It is not null.
  bool IsSet(Value found);

  // True, and told, when there is an error: the document cannot be walked any further.
  bool Broken(simdjson::error_code error);

  // Whether it cannot; nothing of the document may be touched then.
  bool broken() const { return broken_; }

  const std::string& problem() const { return problem_; }

 private:
  void Fail(std::string message);

  bool broken_ = false;
  std::string problem_;
};

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_JSON_WALKER_H_
