// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/schema.h"

#include <algorithm>
#include <string_view>

#include "absl/time/time.h"
#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

bool FlagAt(const json& definition, const char* name) {
  const auto found = definition.find(name);
  return found != definition.end() && found->is_boolean() && found->get<bool>();
}

bool IsOwnField(const std::string& field) {
  return field == "metadata" || field == "apiVersion" || field == "kind";
}

const json* Part(const json& definition, const char* name) {
  const auto found = definition.find(name);
  return found == definition.end() ? nullptr : &*found;
}

// The schema of a member; null when there is none.
const json* MemberSchema(const json& definition, const std::string& name) {
  if (const json* properties = Part(definition, "properties")) {
    if (const auto found = properties->find(name); found != properties->end()) return &*found;
  }
  const json* const additional = Part(definition, "additionalProperties");
  return additional != nullptr && additional->is_object() ? additional : nullptr;
}

void NormalizeValue(const json& definition, json& value, bool root) {
  if (value.is_array()) {
    if (const json* items = Part(definition, "items")) {
      for (json& item : value) NormalizeValue(*items, item, false);
    }
    return;
  }
  if (!value.is_object()) return;
  const bool keeps_all = FlagAt(definition, "x-kubernetes-preserve-unknown-fields");
  for (auto member = value.begin(); member != value.end();) {
    if (root && IsOwnField(member.key())) {
      ++member;
      continue;
    }
    const json* const schema = MemberSchema(definition, member.key());
    const bool unknown = schema == nullptr && !keeps_all;
    const bool dropped_null =
        schema != nullptr && member->is_null() && !FlagAt(*schema, "nullable");
    if (unknown || dropped_null) {
      member = value.erase(member);
      continue;
    }
    if (schema != nullptr) NormalizeValue(*schema, *member, false);
    ++member;
  }
  const json* const properties = Part(definition, "properties");
  if (properties == nullptr) return;
  for (const auto& [name, schema] : properties->items()) {
    if (value.contains(name)) continue;
    if (const json* preset = Part(schema, "default")) value[name] = *preset;
  }
}

std::string TypeOf(const json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) {
    const double number = value.get<double>();
    return number == static_cast<double>(static_cast<std::int64_t>(number)) ? "integer" : "number";
  }
  return value.type_name();  // "null", "boolean", "string", "array", "object"
}

bool FitsType(const std::string& type, const json& value) {
  const std::string own = TypeOf(value);
  return own == type || (type == "number" && own == "integer");
}

bool IsDateTime(const std::string& text) {
  absl::Time ignored;
  return text.size() >= 20 && (text[10] == 'T' || text[10] == 't') &&
         absl::ParseTime(absl::RFC3339_full, text, &ignored, nullptr);
}

// With just six digits behind the seconds.
bool IsMicroTime(const std::string& text) {
  return IsDateTime(text) && text.size() >= 27 && text[19] == '.' &&
         text.find_first_not_of("0123456789", 20) == 26;
}

std::string Quoted(const json& value) {
  return value.is_string() ? StrCat("\"", value.get<std::string>(), "\"") : value.dump();
}

class Validator {
 public:
  std::vector<Cause> Run(const json& definition, const json& object) {
    Value(definition, object, "", true);
    std::stable_sort(causes_.begin(), causes_.end(),
                     [](const Cause& a, const Cause& b) { return a.field < b.field; });
    return std::move(causes_);
  }

 private:
  void Say(const std::string& reason, const std::string& field, const std::string& message) {
    causes_.push_back({reason, message, field});
  }

  void SayInvalid(const std::string& field, const std::string& value, const std::string& rule) {
    Say("FieldValueInvalid", field,
        StrCat("Invalid value: ", value, ": ", field, " in body ", rule));
  }

  void Value(const json& definition, const json& value, const std::string& path, bool root) {
    if (value.is_null() && FlagAt(definition, "nullable")) return;
    if (const json* type = Part(definition, "type"); type != nullptr && type->is_string()) {
      const auto& wanted = type->get_ref<const std::string&>();
      if (!FitsType(wanted, value)) {
        const std::string own = StrCat("\"", TypeOf(value), "\"");
        Say("FieldValueTypeInvalid", path,
            StrCat("Invalid value: ", own, ": ", path, " in body must be of type ", wanted, ": ",
                   own));
        return;
      }
    }
    if (const json* allowed = Part(definition, "enum")) Enum(*allowed, value, path);
    if (value.is_string()) String(definition, value.get_ref<const std::string&>(), path);
    if (value.is_number()) Number(definition, value, path);
    if (value.is_array()) Array(definition, value, path);
    if (value.is_object()) Object(definition, value, path, root);
  }

  void Enum(const json& allowed, const json& value, const std::string& path) {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
    std::string list;
    for (const json& one : allowed) list += (list.empty() ? "" : ", ") + Quoted(one);
    Say("FieldValueNotSupported", path,
        StrCat("Unsupported value: ", Quoted(value), ": supported values: ", list));
  }

  void String(const json& definition, const std::string& text, const std::string& path) {
    const std::string own = StrCat("\"", text, "\"");
    const json* const format = Part(definition, "format");
    if (format != nullptr && *format == "date-time" && !IsDateTime(text)) {
      SayInvalid(path, own, StrCat("must be of type date-time: ", own));
    }
    if (format != nullptr && *format == "micro-time" && !IsMicroTime(text)) {
      SayInvalid(path, own, StrCat("must be of type micro-time: ", own));
    }
    const auto length = static_cast<std::int64_t>(text.size());
    if (const json* most = Part(definition, "maxLength"); most && length > *most) {
      SayInvalid(path, own, StrCat("should be at most ", most->dump(), " chars long"));
    }
    if (const json* least = Part(definition, "minLength"); least && length < *least) {
      SayInvalid(path, own, StrCat("should be at least ", least->dump(), " chars long"));
    }
  }

  void Number(const json& definition, const json& value, const std::string& path) {
    if (const json* least = Part(definition, "minimum"); least && value < *least) {
      SayInvalid(path, value.dump(), StrCat("should be greater than or equal to ", least->dump()));
    }
    if (const json* most = Part(definition, "maximum"); most && value > *most) {
      SayInvalid(path, value.dump(), StrCat("should be less than or equal to ", most->dump()));
    }
  }

  void Array(const json& definition, const json& value, const std::string& path) {
    const auto size = static_cast<std::int64_t>(value.size());
    if (const json* most = Part(definition, "maxItems"); most && size > *most) {
      SayInvalid(path, StrCat(size), StrCat("should have at most ", most->dump(), " items"));
    }
    if (const json* least = Part(definition, "minItems"); least && size < *least) {
      SayInvalid(path, StrCat(size), StrCat("should have at least ", least->dump(), " items"));
    }
    const json* const items = Part(definition, "items");
    if (items == nullptr) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      Value(*items, value[i], StrCat(path, "[", i, "]"), false);
    }
  }

  void Object(const json& definition, const json& value, const std::string& path, bool root) {
    const auto below = [&](const std::string& name) {
      return path.empty() ? name : StrCat(path, ".", name);
    };
    if (const json* required = Part(definition, "required")) {
      for (const json& name : *required) {
        if (name.is_string() && !value.contains(name.get<std::string>())) {
          Say("FieldValueRequired", below(name.get<std::string>()), "Required value");
        }
      }
    }
    for (const auto& [name, member] : value.items()) {
      if (root && IsOwnField(name)) continue;
      if (const json* schema = MemberSchema(definition, name)) {
        Value(*schema, member, below(name), false);
      }
    }
  }

  std::vector<Cause> causes_;
};

}  // namespace

void Schema::Normalize(json& object) const {
  if (definition_.is_object()) NormalizeValue(definition_, object, true);
}

std::vector<Cause> Schema::Validate(const json& object) const {
  if (!definition_.is_object()) return {};
  return Validator().Run(definition_, object);
}

}  // namespace gantry::simulator
