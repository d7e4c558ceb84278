// SPDX-License-Identifier: Apache-2.0
#include "base/error_info.h"

#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"

namespace gantry::base {
namespace {

constexpr char kPayloadUrl[] = "gantry.dev/error-info";

}  // namespace

absl::Status WithErrorInfo(absl::Status status, const ErrorInfo& info) {
  nlohmann::json payload = {{"reason", info.reason}, {"metadata", info.metadata}};
  if (info.retry_delay) payload["retry_delay_ns"] = absl::ToInt64Nanoseconds(*info.retry_delay);
  for (const ErrorInfo::FieldViolation& violation : info.field_violations) {
    payload["fields"].push_back({violation.field, violation.description});
  }
  // Whatever bytes a message quotes, the payload must not throw.
  status.SetPayload(kPayloadUrl, absl::Cord(payload.dump(
                                     -1, ' ', false, nlohmann::json::error_handler_t::replace)));
  return status;
}

std::optional<ErrorInfo> ErrorInfoOf(const absl::Status& status) {
  const absl::optional<absl::Cord> bytes = status.GetPayload(kPayloadUrl);
  if (!bytes) return std::nullopt;
  const nlohmann::json payload = nlohmann::json::parse(std::string(*bytes), nullptr, false);
  if (!payload.is_object()) return std::nullopt;
  ErrorInfo info;
  info.reason = payload.at("reason").get<std::string>();
  info.metadata = payload.at("metadata").get<std::map<std::string, std::string>>();
  if (const auto delay = payload.find("retry_delay_ns"); delay != payload.end()) {
    info.retry_delay = absl::Nanoseconds(delay->get<std::int64_t>());
  }
  if (const auto fields = payload.find("fields"); fields != payload.end()) {
    for (const auto& field : *fields) {
      info.field_violations.push_back(
          {field.at(0).get<std::string>(), field.at(1).get<std::string>()});
    }
  }
  return info;
}

}  // namespace gantry::base
