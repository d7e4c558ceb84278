// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_MALFORMED_H_
#define GANTRY_SERVER_SERVICE_MALFORMED_H_

#include <google/protobuf/message.h>

#include <string_view>
#include <vector>

#include "base/error_info.h"

namespace gantry::service {

// Why `bytes`, which Protobuf refused to parse as a message of `prototype`'s type, are none. Names
// each top-level field that is at fault by itself; a violation without a field says that the bytes
// as a whole are not a message. Never empty.
std::vector<base::ErrorInfo::FieldViolation> DescribeMalformed(
    std::string_view bytes, const google::protobuf::Message& prototype);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_MALFORMED_H_
