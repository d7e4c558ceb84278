// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/orders.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/durations.h"
#include "base/strings.h"
#include "tests/argocd_standin/json_access.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

// Reads one Application's annotations and notes what it does not understand.
class Reader {
 public:
  Reader(const json& annotations, std::vector<std::string>& problems)
      : annotations_(annotations), problems_(problems) {}

  std::optional<std::string> Text(std::string_view name) const {
    if (!annotations_.is_object()) return std::nullopt;
    const auto found = annotations_.find(base::StrCat(kOrderPrefix, name));
    if (found == annotations_.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
  }

  bool Flag(std::string_view name, std::string_view expected = "\"true\" or \"false\"") {
    const auto text = Text(name);
    if (!text || *text == "false") return false;
    if (*text == "true") return true;
    Refuse(name, *text, expected);
    return false;
  }

  std::optional<absl::Duration> Duration(std::string_view name) {
    const auto text = Text(name);
    if (!text) return std::nullopt;
    const auto duration = base::ParseGoDuration(*text);
    if (!duration) Refuse(name, *text, "a duration with its unit, such as 5s or 1m30s");
    return duration;
  }

  void Refuse(std::string_view name, std::string_view value, std::string_view expected) {
    problems_.push_back(base::StrCat("annotation ", kOrderPrefix, name, " is \"", value,
                                     "\", expected ", expected, "; it counts for nothing"));
  }

  void RefuseOthers() {
    if (!annotations_.is_object()) return;
    for (const auto& [key, value] : annotations_.items()) {
      if (key.compare(0, kOrderPrefix.size(), kOrderPrefix) != 0) continue;
      const std::string_view name = std::string_view(key).substr(kOrderPrefix.size());
      const auto& helps = OrderHelps();
      if (std::none_of(helps.begin(), helps.end(),
                       [&](const OrderHelp& help) { return help.name == name; })) {
        problems_.push_back(
            base::StrCat("annotation ", key, " is not one that is known; --help lists them"));
      }
    }
  }

 private:
  const json& annotations_;
  std::vector<std::string>& problems_;
};

void ReadRevisions(const std::string& text, Orders& orders) {
  if (!absl::StrContains(text, '=')) {
    orders.revision = text;
    return;
  }
  for (const absl::string_view entry : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<std::string, std::string> named =
        absl::StrSplit(entry, absl::MaxSplits('=', 1));
    orders.revisions.emplace(absl::StripAsciiWhitespace(named.first),
                             absl::StripAsciiWhitespace(named.second));
  }
}

}  // namespace

const std::vector<OrderHelp>& OrderHelps() {
  static const std::vector<OrderHelp> helps = {
      {"fail", "MESSAGE", "operations end Failed, after the retries they ask for"},
      {"error", "MESSAGE", "operations end Error, after the retries they ask for"},
      {"hang", "true", "operations stay Running; with \"hook\" they wait for a PreSync hook"},
      {"sync-window", "true", "operations stay Running, blocked by a sync window"},
      {"sync-duration", "DURATION", "how long operations run, instead of --sync-duration"},
      {"lose-sync-result", "true", "operations end without a syncResult"},
      {"self-heal", "true", "drift follows every operation that succeeded, and is healed"},
      {"degrade", "ANYTHING", "health is Degraded"},
      {"health", "STATUS", "health is STATUS, such as Suspended or Missing"},
      {"drift", "NAME", "the Application is OutOfSync until the next sync; with \"true\" for good"},
      {"condition", "TYPE=MESSAGE", "comparisons end with that condition, such as ComparisonError"},
      {"no-reconcile", "true", "nothing is compared: reconciledAt and refresh requests stay"},
      {"revision", "COMMIT|NAME=COMMIT,...",
       "what git branches and tags resolve to; with names, others are not found"},
      {"deployed", "true", "an Application without any operation counts as deployed as it is"},
  };
  return helps;
}

Orders OrdersOf(const json& application) {
  Orders orders;
  Reader reader(At(application, {"metadata", "annotations"}), orders.problems);
  orders.fail = reader.Text("fail");
  orders.error = reader.Text("error");
  if (reader.Text("hang") == "hook") {
    orders.hang = Hang::kHook;
  } else if (reader.Flag("hang", "\"true\", \"hook\" or \"false\"")) {
    orders.hang = Hang::kSync;
  }
  orders.sync_window = reader.Flag("sync-window");
  orders.degrade = reader.Text("degrade").has_value();
  orders.health = reader.Text("health").value_or("");
  orders.drift = reader.Text("drift");
  if (orders.drift == "false") orders.drift.reset();
  orders.self_heal = reader.Flag("self-heal");
  orders.deployed = reader.Flag("deployed");
  orders.lose_sync_result = reader.Flag("lose-sync-result");
  orders.no_reconcile = reader.Flag("no-reconcile");
  ReadRevisions(reader.Text("revision").value_or(""), orders);
  orders.sync_duration = reader.Duration("sync-duration");
  if (const auto condition = reader.Text("condition")) {
    const auto equals = condition->find('=');
    if (equals == 0 || equals == std::string::npos) {
      reader.Refuse("condition", *condition, "TYPE=MESSAGE");
    } else {
      orders.condition = condition->substr(0, equals);
      orders.condition_message = condition->substr(equals + 1);
    }
  }
  reader.RefuseOthers();
  return orders;
}

}  // namespace gantry::argocd_standin
