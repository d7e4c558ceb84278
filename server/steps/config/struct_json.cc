// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/struct_json.h"

#include <cmath>
#include <cstdint>

namespace gantry::steps {
namespace {

using google::protobuf::Value;
using nlohmann::json;

// Up to here a double holds every integer.
constexpr double kMaxExactInteger = 9007199254740992.0;

json ToJson(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue: {
      const double number = value.number_value();
      if (std::trunc(number) == number && std::abs(number) <= kMaxExactInteger) {
        return static_cast<std::int64_t>(number);
      }
      return number;
    }
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kStructValue:
      return steps::ToJson(value.struct_value());
    case Value::kListValue: {
      json list = json::array();
      for (const Value& item : value.list_value().values()) list.push_back(ToJson(item));
      return list;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

Value ToValue(const json& value) {
  Value result;
  if (value.is_object()) {
    *result.mutable_struct_value() = ToStruct(value);
  } else if (value.is_array()) {
    auto* list = result.mutable_list_value();
    for (const json& item : value) *list->add_values() = ToValue(item);
  } else if (value.is_string()) {
    result.set_string_value(value.get<std::string>());
  } else if (value.is_boolean()) {
    result.set_bool_value(value.get<bool>());
  } else if (value.is_number()) {
    result.set_number_value(value.get<double>());
  } else {
    result.set_null_value(google::protobuf::NULL_VALUE);
  }
  return result;
}

}  // namespace

json ToJson(const google::protobuf::Struct& object) {
  json result = json::object();
  for (const auto& [key, value] : object.fields()) result[key] = ToJson(value);
  return result;
}

google::protobuf::Struct ToStruct(const json& object) {
  google::protobuf::Struct result;
  for (const auto& [key, value] : object.items()) (*result.mutable_fields())[key] = ToValue(value);
  return result;
}

}  // namespace gantry::steps
