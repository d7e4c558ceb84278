// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/violations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "base/text.h"

namespace gantry::steps {
namespace {

bool IsPlainWord(std::string_view name) {
  return !name.empty() && name.size() <= 60 &&
         !absl::ascii_isdigit(static_cast<unsigned char>(name.front())) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
         });
}

}  // namespace

std::string ConfigPath::ToString() const {
  if (parent_ == nullptr) return "";
  std::string text = parent_->ToString();
  if (is_index_) return base::StrCat(text, "[", index_, "]");
  if (!IsPlainWord(field_)) return base::StrCat(text, "[", base::Quote(field_), "]");
  return base::StrCat(text, text.empty() ? "" : ".", field_);
}

void ViolationList::Add(const ConfigPath& path, absl::FunctionRef<std::string()> describe) {
  if (kept_.size() == kMaxViolations) {
    ++others_;
    return;
  }
  Kept kept;
  for (const ConfigPath* place = &path; place->parent_ != nullptr; place = place->parent_) {
    kept.place.push_back(Step{std::string(place->field_), place->index_});
  }
  std::reverse(kept.place.begin(), kept.place.end());
  kept.violation = Violation{path.ToString(), describe()};
  kept_.push_back(std::move(kept));
}

std::vector<Violation> ViolationList::Take() && {
  std::stable_sort(kept_.begin(), kept_.end(),
                   [](const Kept& a, const Kept& b) { return a.place < b.place; });
  std::vector<Violation> violations;
  violations.reserve(kept_.size() + 1);
  for (Kept& kept : kept_) violations.push_back(std::move(kept.violation));
  if (others_ > 0) {
    violations.push_back({"", base::Count(others_, "more violation") + " not shown"});
  }
  return violations;
}

}  // namespace gantry::steps
