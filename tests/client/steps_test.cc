// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/steps.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/gantryctl/run.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

namespace gantry::gantryctl {
namespace {

using ::testing::HasSubstr;

constexpr char kSchema[] = R"({
  "type": "object",
  "required": ["apps"],
  "properties": {
    "apps": {
      "description": "What to update.",
      "type": "array",
      "items": {
        "type": "object",
        "required": ["uses"],
        "properties": {
          "labels": {"type": "object", "additionalProperties": {"type": "string"}},
          "uses": {"description": "First. Second, which is so long that the row has no room for the two of them together.",
                   "enum": ["In", "NotIn"], "type": "string"},
          "odd": true
        }
      }
    },
    "anything": {}
  }
})";

v1::ListStepKindsResponse Kinds() {
  v1::ListStepKindsResponse response;
  v1::StepKind& update = *response.add_kinds();
  update.set_uses("argocd-update");
  update.set_description(
      "Updates Applications. It also waits until each of them is synced, and longer.");
  update.mutable_default_timeout()->set_seconds(300);
  EXPECT_TRUE(
      google::protobuf::util::JsonStringToMessage(kSchema, update.mutable_config_schema()).ok());
  response.add_kinds()->set_uses("argocd-wait");
  return response;
}

class StepsTest : public ::testing::Test {
 protected:
  StepsTest() {
    world_.environment = [](const std::string&) -> std::optional<std::string> {
      return std::nullopt;
    };
    world_.write_out = [this](const std::string& text) {
      out_ += text;
      return true;
    };
    world_.write_err = [this](const std::string& text) { err_ += text; };
    world_.connect = [this](const ServiceFlags&) { return connection_; };
    world_.timing = &timing_;
    connection_->kinds.script = {{Kinds()}};
  }

  int Steps(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"steps"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    out_.clear();
    err_.clear();
    return gantryctl::Run(arguments, world_);
  }

  World world_;
  client::FakeTiming timing_;
  std::shared_ptr<client::ScriptedConnection> connection_ =
      std::make_shared<client::ScriptedConnection>(std::vector<client::ScriptedAnswer>{}, timing_);
  std::string out_;
  std::string err_;
};

TEST_F(StepsTest, AllKindsAreListed) {
  EXPECT_EQ(Steps(), kExitSucceeded);
  const std::string blanks(66, ' ');
  EXPECT_EQ(out_, "USES           DESCRIPTION" + blanks +
                      "  TIMEOUT\n"
                      "argocd-update  Updates Applications. It also waits until each of them is "
                      "synced, and longer.  5m\n"
                      "argocd-wait    -          " +
                      blanks + "  -\n");
  EXPECT_EQ(err_, "");
  EXPECT_EQ(Steps({"-o", "wide"}), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("USES           REQUIRES  DESCRIPTION"));
  EXPECT_THAT(out_, HasSubstr("argocd-update  apps      Updates"));
}

TEST_F(StepsTest, TheFieldsOfAKindAreListed) {
  EXPECT_EQ(Steps({"argocd-update"}), kExitSucceeded);
  EXPECT_EQ(out_,
            "Uses:     argocd-update\n"
            "Timeout:  5m\n"
            "\n"
            "Updates Applications. It also waits until each of them is synced, and longer.\n"
            "\n"
            "FIELD          TYPE            REQUIRED  DESCRIPTION\n"
            "apps           list of object  yes       What to update.\n"
            "apps[].uses    In|NotIn        yes       First\n"
            "apps[].labels  map of string   -         -\n"
            "anything       any             -         -\n");
  EXPECT_EQ(Steps({"argocd-update", "-o", "wide"}), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("First. Second, which is so long"));
  EXPECT_EQ(Steps({"argocd-wait"}), kExitSucceeded);
  EXPECT_EQ(out_, "Uses:     argocd-wait\n\n\n");
}

TEST_F(StepsTest, TheSchemaItselfIsForEditors) {
  EXPECT_EQ(Steps({"argocd-update", "-o", "json"}), kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_, nullptr, false), nlohmann::json::parse(kSchema));
  EXPECT_EQ(Steps({"argocd-update", "-o", "yaml"}), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("required:\n  - apps\n"));
  EXPECT_EQ(Steps({"-o", "json"}), kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_, nullptr, false)["kinds"][1]["uses"], "argocd-wait");
  EXPECT_EQ(Steps({"-o", "yaml"}), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("uses: argocd-wait"));
}

TEST_F(StepsTest, AnUnknownKindHasNearNames) {
  EXPECT_EQ(Steps({"argocd-updat"}), kExitFailed);
  EXPECT_EQ(
      err_,
      "gantryctl: no kind of step argocd-updat; did you mean argocd-update or argocd-wait?\n");
  EXPECT_EQ(Steps({"http"}), kExitFailed);
  EXPECT_EQ(err_,
            "gantryctl: no kind of step http; the service knows argocd-update, argocd-wait.\n");
  EXPECT_EQ(out_, "");
}

TEST_F(StepsTest, FailuresAreToldAndRepeatedWhereThatHelps) {
  connection_->kinds.script = {{client::KubernetesDown()}, {Kinds()}};
  EXPECT_EQ(Steps(), kExitSucceeded);
  EXPECT_THAT(err_, HasSubstr("the service cannot tell yet, trying again"));
  connection_->kinds.script = {{client::Refused()}};
  EXPECT_EQ(Steps(), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("Check that gantry-server runs"));
  connection_->kinds.script = {{client::KubernetesDown()}};
  EXPECT_EQ(Steps(), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("could not tell the kinds of steps within 30s"));
}

}  // namespace
}  // namespace gantry::gantryctl
