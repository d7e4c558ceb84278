// SPDX-License-Identifier: Apache-2.0
#include "server/service/validation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/names.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/service/page_token.h"
#include "server/service/text.h"

namespace gantry::service {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using Violations = std::vector<base::ErrorInfo::FieldViolation>;

// A project and a stage are stored under `<project>.<stage>`, which has at most 253 characters.
constexpr std::size_t kMaxProjectAndStage = 252;
constexpr std::size_t kMaxNameCharacters = 253;
// One request can hold hundreds of thousands of bad values; more than a few help nobody.
constexpr std::size_t kMaxBadValues = 10;

std::string Found(std::string_view found) { return base::StrCat("found ", base::Quote(found, 80)); }

// Project, promotion, step and actor are free text with limits; `required` forbids the empty one.
void CheckText(const char* field, const std::string& text, bool required, Violations& violations) {
  if (text.empty()) {
    if (required) violations.push_back({field, "is required; expected 1 to 253 characters"});
    return;
  }
  const std::size_t characters = CountCharacters(text);
  if (characters > kMaxNameCharacters) {
    violations.push_back(
        {field, base::StrCat("expected at most 253 characters, found ", characters)});
  }
  if (HasControlCharacter(text)) {
    violations.push_back({field, "expected no control characters, found at least one"});
  }
}

bool CheckProject(const std::string& project, Violations& violations) {
  if (base::IsDns1123Label(project)) return true;
  const char* expected =
      "expected a DNS-1123 label: 1 to 63 lower-case letters, digits and '-', with a letter or "
      "digit at both ends";
  violations.push_back({"project", project.empty() ? base::StrCat("is required; ", expected)
                                                   : base::StrCat(expected, "; ", Found(project))});
  return false;
}

void CheckProjectAndStage(const std::string& project, const std::string& stage,
                          Violations& violations) {
  const bool project_good = CheckProject(project, violations);
  if (!base::IsDns1123Subdomain(stage)) {
    const char* expected =
        "expected a DNS-1123 subdomain: at most 253 lower-case letters, digits, '-' and '.', with "
        "a letter or digit at both ends of each part";
    violations.push_back({"stage", stage.empty() ? base::StrCat("is required; ", expected)
                                                 : base::StrCat(expected, "; ", Found(stage))});
  } else if (project_good && project.size() + stage.size() > kMaxProjectAndStage) {
    violations.push_back(
        {"stage", base::StrCat("expected at most 252 characters together with the project, found ",
                               project.size() + stage.size())});
  }
}

// A number that is no value of an enum is kept by Protobuf as it is.
void CheckEnum(const std::string& field, int value, bool (*is_valid)(int), bool zero_is_valid,
               const google::protobuf::EnumDescriptor* descriptor, Violations& violations) {
  if (is_valid(value) && (value != 0 || zero_is_valid)) return;
  std::vector<std::string> names;
  for (int i = 0; i < descriptor->value_count(); ++i) {
    if (descriptor->value(i)->number() != 0 || zero_is_valid) {
      names.push_back(descriptor->value(i)->name());
    }
  }
  violations.push_back(
      {field, base::StrCat("expected one of ", absl::StrJoin(names, ", "), ", found ", value)});
}

void CheckTtl(const google::protobuf::Duration& ttl, Violations& violations) {
  // Longer than anybody waits, and far from where times overflow.
  constexpr std::int64_t kMaxSeconds = 10LL * 366 * 24 * 3600;
  const bool in_range = ttl.seconds() >= 0 && ttl.seconds() <= kMaxSeconds && ttl.nanos() >= 0 &&
                        ttl.nanos() <= 999'999'999 && (ttl.seconds() > 0 || ttl.nanos() > 0);
  if (in_range) return;
  violations.push_back(
      {"ttl",
       base::StrCat("expected more than 0 and at most 10 years (leave it out for an indicator "
                    "that never expires), found ",
                    ttl.seconds(), " seconds and ", ttl.nanos(), " nanos")});
}

void CheckUses(const std::string& uses, const std::vector<std::string_view>& kinds,
               Violations& violations) {
  if (std::find(kinds.begin(), kinds.end(), uses) != kinds.end()) return;
  const std::string known =
      kinds.empty()
          ? "a kind of step, of which this server knows none"
          : "one of " + absl::StrJoin(kinds, ", ", [](std::string* out, std::string_view kind) {
              out->append(kind);
            });
  violations.push_back({"uses", uses.empty()
                                    ? base::StrCat("is required; expected ", known)
                                    : base::StrCat("expected ", known, "; ", Found(uses))});
}

void CheckWait(const v1::RunStepRequest& request, absl::Duration max_wait, Violations& violations) {
  if (!request.has_wait()) return;
  const google::protobuf::Duration& wait = request.wait();
  constexpr std::int64_t kMaxSeconds = 315'576'000'000;
  constexpr std::int32_t kMaxNanos = 999'999'999;
  const bool opposed =
      (wait.seconds() > 0 && wait.nanos() < 0) || (wait.seconds() < 0 && wait.nanos() > 0);
  if (wait.seconds() > kMaxSeconds || wait.seconds() < -kMaxSeconds || wait.nanos() > kMaxNanos ||
      wait.nanos() < -kMaxNanos || opposed) {
    violations.push_back(
        {"wait", base::StrCat("expected a google.protobuf.Duration, found one out of its range: ",
                              wait.seconds(), " seconds and ", wait.nanos(), " nanos")});
    return;
  }
  const absl::Duration duration = absl::Seconds(wait.seconds()) + absl::Nanoseconds(wait.nanos());
  if (duration < absl::ZeroDuration() || duration > max_wait) {
    violations.push_back({"wait", base::StrCat("expected 0 to ", absl::FormatDuration(max_wait),
                                               ", found ", absl::FormatDuration(duration))});
  }
}

// Walks a Struct for values that JSON cannot say. Its depth is bounded by Protobuf's parser. Paths
// are spelled out for the bad values alone: a long key may be shared by very many good ones.
class BadValueFinder {
 public:
  BadValueFinder(std::string field, Violations& violations)
      : field_(std::move(field)), violations_(violations) {}

  void Visit(const Struct& object) {
    for (const auto& [name, value] : object.fields()) {
      if (found_ >= kMaxBadValues) return;
      steps_.push_back({&name, 0});
      Visit(value);
      steps_.pop_back();
    }
  }

 private:
  struct Step {
    const std::string* name;  // null: an index
    int index;
  };

  void Visit(const Value& value) {
    switch (value.kind_case()) {
      case Value::kNumberValue:
        if (std::isnan(value.number_value())) {
          Add("expected a number, found NaN");
        } else if (std::isinf(value.number_value())) {
          Add("expected a number, found an infinity");
        }
        return;
      case Value::kStructValue:
        Visit(value.struct_value());
        return;
      case Value::kListValue:
        for (int i = 0; i < value.list_value().values_size() && found_ < kMaxBadValues; ++i) {
          steps_.push_back({nullptr, i});
          Visit(value.list_value().values(i));
          steps_.pop_back();
        }
        return;
      case Value::KIND_NOT_SET:
        Add("expected a value, found a google.protobuf.Value with no kind set");
        return;
      case Value::kNullValue:
      case Value::kStringValue:
      case Value::kBoolValue:
        return;
    }
  }

  void Add(const char* description) {
    std::string path = field_;
    for (const Step& step : steps_) {
      if (step.name != nullptr) {
        base::StrAppend(&path, ".", Presentable(*step.name, 80));
      } else {
        base::StrAppend(&path, "[", step.index, "]");
      }
    }
    violations_.push_back({std::move(path), description});
    ++found_;
  }

  const std::string field_;
  Violations& violations_;
  std::vector<Step> steps_;
  std::size_t found_ = 0;
};

}  // namespace

Violations ValidateRunStep(const v1::RunStepRequest& request,
                           const std::vector<std::string_view>& kinds, absl::Duration max_wait) {
  Violations violations;
  CheckProjectAndStage(request.project(), request.stage(), violations);
  CheckText("promotion", request.promotion(), /*required=*/true, violations);
  CheckText("step", request.step(), /*required=*/false, violations);
  CheckUses(request.uses(), kinds, violations);
  BadValueFinder("config", violations).Visit(request.config());
  CheckText("actor", request.actor(), /*required=*/false, violations);
  BadValueFinder("previous_output", violations).Visit(request.previous_output());
  CheckWait(request, max_wait, violations);
  return violations;
}

Violations ValidateGetStageHealth(const v1::GetStageHealthRequest& request) {
  Violations violations;
  CheckProjectAndStage(request.project(), request.stage(), violations);
  return violations;
}

Violations ValidateListStageHealth(const v1::ListStageHealthRequest& request) {
  Violations violations;
  if (!request.project().empty()) CheckProject(request.project(), violations);
  for (int i = 0; i < request.states_size() && violations.size() < kMaxBadValues; ++i) {
    CheckEnum(base::StrCat("states[", i, "]"), request.states(i), v1::HealthState_IsValid,
              /*zero_is_valid=*/false, v1::HealthState_descriptor(), violations);
  }
  if (request.page_size() < 0) {
    violations.push_back(
        {"page_size", base::StrCat("expected 0 or more, found ", request.page_size())});
  }
  if (!request.page_token().empty() && !ReadPageToken(request.page_token())) {
    violations.push_back(
        {"page_token", base::StrCat("expected next_page_token of an earlier page, or none; ",
                                    Found(request.page_token()))});
  }
  return violations;
}

Violations ValidateWatchStageHealth(const v1::WatchStageHealthRequest& request) {
  Violations violations;
  if (!request.stage().empty()) {
    CheckProjectAndStage(request.project(), request.stage(), violations);
  } else if (!request.project().empty()) {
    CheckProject(request.project(), violations);
  }
  return violations;
}

Violations ValidateReportPromotion(const v1::ReportPromotionRequest& request) {
  Violations violations;
  CheckProjectAndStage(request.project(), request.stage(), violations);
  CheckText("promotion", request.promotion(), /*required=*/true, violations);
  CheckEnum("phase", request.phase(), v1::PromotionPhase_IsValid,
            /*zero_is_valid=*/false, v1::PromotionPhase_descriptor(), violations);
  return violations;
}

Violations ValidateReportIndicator(const v1::ReportIndicatorRequest& request) {
  Violations violations;
  CheckProjectAndStage(request.project(), request.stage(), violations);
  CheckText("name", request.name(), /*required=*/true, violations);
  CheckEnum("state", request.state(), v1::HealthState_IsValid,
            /*zero_is_valid=*/true, v1::HealthState_descriptor(), violations);
  if (request.has_ttl()) CheckTtl(request.ttl(), violations);
  return violations;
}

}  // namespace gantry::service
