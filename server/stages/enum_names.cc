// SPDX-License-Identifier: Apache-2.0
#include "server/stages/enum_names.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/ascii.h"

namespace gantry::stages {
namespace {

// OPERATION_FAILED -> OperationFailed
std::string ToCamelCase(std::string_view upper) {
  std::string word;
  bool start = true;
  for (const char c : upper) {
    if (c == '_') {
      start = true;
      continue;
    }
    word.push_back(start ? c : absl::ascii_tolower(static_cast<unsigned char>(c)));
    start = false;
  }
  return word;
}

// Every value of an enum begins with the name of its zero value, less UNSPECIFIED.
std::string WordOf(const google::protobuf::EnumValueDescriptor& value) {
  if (value.number() == 0) return "";
  const std::string& zero = value.type()->FindValueByNumber(0)->name();
  const std::size_t prefix = zero.size() - std::string_view("UNSPECIFIED").size();
  return ToCamelCase(std::string_view(value.name()).substr(prefix));
}

template <typename Enum>
std::string Word(Enum value) {
  const auto* descriptor =
      google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(static_cast<int>(value));
  return descriptor == nullptr ? "" : WordOf(*descriptor);
}

template <typename Enum>
std::optional<Enum> FromWord(std::string_view word) {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  for (int i = 0; i < descriptor->value_count(); ++i) {
    if (WordOf(*descriptor->value(i)) == word) {
      return static_cast<Enum>(descriptor->value(i)->number());
    }
  }
  return std::nullopt;
}

}  // namespace

std::string ToWord(v1::StepStatus value) { return Word(value); }
std::string ToWord(v1::StepReason value) { return Word(value); }
std::string ToWord(v1::PromotionPhase value) { return Word(value); }
std::string ToWord(v1::HealthState value) { return Word(value); }

std::optional<v1::StepStatus> StepStatusFromWord(std::string_view word) {
  return FromWord<v1::StepStatus>(word);
}
std::optional<v1::StepReason> StepReasonFromWord(std::string_view word) {
  return FromWord<v1::StepReason>(word);
}
std::optional<v1::PromotionPhase> PromotionPhaseFromWord(std::string_view word) {
  return FromWord<v1::PromotionPhase>(word);
}
std::optional<v1::HealthState> HealthStateFromWord(std::string_view word) {
  return FromWord<v1::HealthState>(word);
}

}  // namespace gantry::stages
