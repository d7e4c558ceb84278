// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/faults.h"

#include <utility>

#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

absl::StatusOr<Fault> Fault::FromJson(const json& given) {
  if (!given.is_object()) return absl::InvalidArgumentError("expected a JSON object");
  Fault fault;
  std::string action;
  int delay = 0;
  const std::pair<const char*, std::string*> texts[] = {
      {"verb", &fault.verb}, {"resource", &fault.resource}, {"namespace", &fault.ns},
      {"name", &fault.name}, {"message", &fault.message},   {"action", &action}};
  const std::pair<const char*, int*> numbers[] = {{"count", &fault.count},
                                                  {"delayMilliseconds", &delay},
                                                  {"code", &fault.code},
                                                  {"retryAfterSeconds", &fault.retry_after}};
  for (const auto& [key, value] : given.items()) {
    bool known = false;
    for (const auto& [name, text] : texts) {
      if (key != name) continue;
      known = true;
      if (!value.is_string()) return absl::InvalidArgumentError(StrCat(key, " is not a string"));
      *text = value.get<std::string>();
    }
    for (const auto& [name, number] : numbers) {
      if (key != name) continue;
      known = true;
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 1000000000) {
        return absl::InvalidArgumentError(StrCat(key, " is not a number from 0 to 1000000000"));
      }
      *number = value.get<int>();
    }
    if (!known) {
      return absl::InvalidArgumentError(
          StrCat("unknown field \"", key,
                 "\"; known are action, verb, resource, namespace, name, "
                 "count, delayMilliseconds, code, retryAfterSeconds and message"));
    }
  }
  fault.delay = std::chrono::milliseconds(delay);
  static const std::set<std::string>& verbs = *new std::set<std::string>{
      "", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"};
  if (verbs.count(fault.verb) == 0) {
    return absl::InvalidArgumentError(
        StrCat("verb is \"", fault.verb,
               "\", not one of get, list, watch, create, update, patch, delete and "
               "deletecollection; leave it out to match all"));
  }
  if (fault.count == 0) {
    return absl::InvalidArgumentError(
        "count is 0, and nothing would happen; DELETE takes the faults away");
  }
  if (fault.code < 400 || fault.code > 599) {
    return absl::InvalidArgumentError(StrCat("code is ", fault.code, ", not one from 400 to 599"));
  }
  const std::pair<const char*, Action> actions[] = {{"delay", Action::kDelay},
                                                    {"drop-before", Action::kDropBefore},
                                                    {"drop-after", Action::kDropAfter},
                                                    {"error", Action::kError},
                                                    {"half", Action::kHalf}};
  for (const auto& [name, value] : actions) {
    if (action != name) continue;
    fault.action = value;
    return fault;
  }
  return absl::InvalidArgumentError(StrCat(
      "action is \"", action, "\", not one of delay, drop-before, drop-after, error and half"));
}

void Faults::Add(Fault fault) {
  base::MutexLock lock(mutex_);
  if (fault.count > 0) faults_.push_back(std::move(fault));
}

void Faults::Clear() {
  base::MutexLock lock(mutex_);
  faults_.clear();
}

std::size_t Faults::size() const {
  base::MutexLock lock(mutex_);
  std::size_t size = 0;
  for (const Fault& fault : faults_) size += static_cast<std::size_t>(fault.count);
  return size;
}

std::optional<Fault> Faults::TakeLocked(const Attributes& request, bool half_line) {
  const auto matches = [](const std::string& wanted, const std::string& own) {
    return wanted.empty() || wanted == own;
  };
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    const bool of_line = fault->action == Fault::Action::kHalf && request.verb == "watch";
    if (of_line != half_line || !matches(fault->verb, request.verb) ||
        !matches(fault->resource, request.resource) || !matches(fault->ns, request.ns) ||
        !matches(fault->name, request.name)) {
      continue;
    }
    Fault taken = *fault;
    if (--fault->count == 0) faults_.erase(fault);
    return taken;
  }
  return std::nullopt;
}

std::optional<Fault> Faults::TakeForRequest(const Attributes& request) {
  base::MutexLock lock(mutex_);
  return TakeLocked(request, false);
}

bool Faults::TakeHalfLine(const Attributes& watch) {
  base::MutexLock lock(mutex_);
  return TakeLocked(watch, true).has_value();
}

void Faults::Freeze(const std::string& resource) {
  base::MutexLock lock(mutex_);
  frozen_.insert(resource);
}

void Faults::Unfreeze() {
  base::MutexLock lock(mutex_);
  frozen_.clear();
  changed_.NotifyAll();
}

bool Faults::AwaitUnfrozen(const Attributes& watch,
                           std::chrono::steady_clock::time_point deadline) {
  base::MutexLock lock(mutex_);
  while (frozen_.count("") + frozen_.count(watch.resource) > 0) {
    if (!changed_.WaitUntil(mutex_, deadline)) return false;
  }
  return true;
}

}  // namespace gantry::simulator
