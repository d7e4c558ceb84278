// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/gantryctl/command_line.h"

namespace gantry::gantryctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Names = Completion::Names;

CompleteFlags Ask(std::vector<std::string> words) {
  words.insert(words.begin(), {"__complete", "--"});
  const CommandLine line = ParseCommandLine(
      words, [](const std::string&) -> std::optional<std::string> { return std::nullopt; });
  EXPECT_TRUE(line.complete);
  return line.complete.value_or(CompleteFlags());
}

std::vector<std::string> Texts(const std::vector<std::string>& words) {
  std::vector<std::string> texts;
  for (const Candidate& candidate : Ask(words).completion.candidates) {
    texts.push_back(candidate.text);
  }
  return texts;
}

TEST(CompletionTest, CommandsFlagsAndChoices) {
  const struct {
    const char* name;
    std::vector<std::string> words;
    std::vector<std::string> texts;
  } cases[] = {
      {"Commands", {""}, {"run-step", "health", "steps", "report", "completion", "version"}},
      {"NoWordAtAll", {}, {"run-step", "health", "steps", "report", "completion", "version"}},
      {"ACommand", {"he"}, {"health"}},
      {"ACommandOfACommand", {"report", ""}, {"promotion", "indicator"}},
      {"FlagsOfTheProgram", {"--v"}, {"--version"}},
      {"FlagsOfACommand", {"health", "--to"}, {"--token", "--token-file"}},
      {"ASwitch", {"run-step", "--dry"}, {"--dry-run"}},
      {"AChoice", {"health", "-o", ""}, {"table", "wide", "json", "yaml"}},
      {"AChoiceThatHasBegun", {"health", "--output", "j"}, {"json"}},
      {"AChoiceBehindEquals", {"health", "--output=y"}, {"--output=yaml"}},
      {"AnotherChoice", {"report", "indicator", "--state", "un"}, {"unknown", "unhealthy"}},
      {"ASwitchBehindEquals",
       {"health", "--plaintext="},
       {"--plaintext=true", "--plaintext=false"}},
      {"AValueIsNoCommand", {"report", "promotion", "--project", "health", "--ph"}, {"--phase"}},
      {"AShell", {"completion", ""}, {"bash", "zsh", "fish"}},
      {"NothingBehindTheShell", {"completion", "bash", ""}, {}},
      {"NothingForFreeText", {"report", "promotion", "--message", ""}, {}},
      {"AnUnknownFlag", {"health", "--frob="}, {}},
      {"TheHiddenOneIsNotTold", {"__"}, {}},
  };
  for (const auto& test : cases) EXPECT_EQ(Texts(test.words), test.texts) << test.name;
}

TEST(CompletionTest, WhatOnlyTheServiceKnows) {
  const struct {
    const char* name;
    std::vector<std::string> words;
    Names names;
    std::string begin;
    std::string prefix = {};
  } cases[] = {
      {"AStage", {"health", "sh"}, Names::kStages, "sh"},
      {"ASecondStageIsNotTaken", {"health", "shop/prod", ""}, Names::kNone, ""},
      {"AStageBehindAFlag", {"health", "-o", "json", "shop/"}, Names::kStages, "shop/"},
      {"AProject", {"run-step", "--project", ""}, Names::kProjects, ""},
      {"AStageName", {"run-step", "--stage=p"}, Names::kStageNames, "p", "--stage="},
      {"AKind", {"steps", "ar"}, Names::kKinds, "ar"},
  };
  for (const auto& test : cases) {
    const CompleteFlags flags = Ask(test.words);
    EXPECT_EQ(flags.completion.names, test.names) << test.name;
    EXPECT_EQ(flags.completion.begin, test.begin) << test.name;
    EXPECT_EQ(flags.completion.prefix, test.prefix) << test.name;
    EXPECT_EQ(flags.service_known, test.names != Names::kNone) << test.name;
  }
}

TEST(CompletionTest, StagesAreThoseOfTheProjectOnTheLine) {
  const struct {
    const char* name;
    std::vector<std::string> words;
    std::string project;
  } cases[] = {
      {"AWordOfItsOwn", {"run-step", "--project", "shop", "--stage", ""}, "shop"},
      {"BehindEquals", {"run-step", "--project=shop", "--stage", ""}, "shop"},
      {"OfAReport", {"report", "indicator", "--project", "shop", "--stage=p"}, "shop"},
      {"TheLast", {"run-step", "--project", "a", "--project=shop", "--stage", ""}, "shop"},
      {"None", {"run-step", "--stage", ""}, ""},
      {"ValueOfAnother", {"run-step", "--actor", "--project=shop", "--stage", ""}, ""},
  };
  for (const auto& test : cases) {
    const CompleteFlags flags = Ask(test.words);
    EXPECT_EQ(flags.completion.names, Names::kStageNames) << test.name;
    EXPECT_EQ(flags.completion.project, test.project) << test.name;
  }
}

TEST(CompletionTest, TheServiceIsThatOfTheWordsSoFar) {
  const CompleteFlags flags =
      Ask({"health", "--server", "gantry.example:1", "--token-file", "t", "-w", ""});
  EXPECT_TRUE(flags.service_known);
  EXPECT_EQ(flags.server, "gantry.example:1");
  EXPECT_EQ(flags.token_file, "t");
  EXPECT_FALSE(flags.plaintext);
  EXPECT_FALSE(Ask({"health", "--server", "nonsense", ""}).service_known);
}

TEST(CompletionTest, Files) {
  EXPECT_TRUE(Ask({"run-step", "st"}).completion.files);
  EXPECT_TRUE(Ask({"health", "--ca-file", ""}).completion.files);
  EXPECT_FALSE(Ask({"health", "--server", ""}).completion.files);
}

TEST(CompletionTest, NamesFromElsewhereAreNothingButWords) {
  Completion completion;
  completion.begin = "s";
  completion.prefix = "--stage=";
  EXPECT_EQ(RenderCompletion(completion, {"shop", "test", "s p", "s$(id)", "s;id", "s\n", "s'"}),
            "--stage=shop\t\n");
}

TEST(CompletionTest, EachCandidateIsALine) {
  Completion completion;
  completion.candidates = {{"health", "Tell\nhow"}, {"report", ""}};
  completion.files = true;
  EXPECT_EQ(RenderCompletion(completion, {}), "health\tTell how\nreport\t\n:files\n");
}

TEST(CompletionTest, OtherShellsHaveNoScript) {
  EXPECT_FALSE(CompletionScript("tcsh"));
  EXPECT_FALSE(CompletionScript(""));
}

}  // namespace
}  // namespace gantry::gantryctl
