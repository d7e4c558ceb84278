// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_STRUCT_JSON_H_
#define GANTRY_SERVER_STEPS_CONFIG_STRUCT_JSON_H_

#include <google/protobuf/struct.pb.h>

#include <nlohmann/json.hpp>

namespace gantry::steps {

// A Struct as JSON. Its numbers are all doubles; whole ones become integers. Its depth is bounded
// by protobuf's parser.
nlohmann::json ToJson(const google::protobuf::Struct& object);

// `object` is a JSON object made by this program.
google::protobuf::Struct ToStruct(const nlohmann::json& object);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_STRUCT_JSON_H_
