// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd/repositories.h"

#include <stdio.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/cluster_access.h"

namespace gantry::integration {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    GiveUp(absl::StrCat(name, " is not set: run this program by tests/argocd/argocd.sh run"));
  }
  return value;
}

void WriteFile(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << content;
  file.close();
  if (!file) GiveUp("could not write " + path);
}

// Runs a command line of the shell and returns what it printed. All words in it are the tests' own.
std::string Run(const std::string& command) {
  FILE* const output = popen(command.c_str(), "re");
  if (output == nullptr) GiveUp("could not run " + command);
  std::string text;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, output)) {
    text.append(buffer, count);
  }
  if (const int status = pclose(output); status != 0) {
    GiveUp(absl::StrCat("wait status ", status, " of: ", command));
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace

std::string BedFile(const std::string& name) {
  return absl::StrCat(Environment("GANTRY_TEST_ARGOCD"), "/", name);
}

std::string BedUrl(const std::string& path) {
  return absl::StrCat(Environment("GANTRY_TEST_ARGOCD_URL"), path);
}

// ---- GitRepository -----------------------------------------------------------------

GitRepository::GitRepository(const std::string& name)
    : folder_(BedFile(absl::StrCat("repositories/git/", name, ".git"))),
      url_(BedUrl(absl::StrCat("/git/", name, ".git"))) {
  Run(absl::StrCat("git init --quiet --bare --initial-branch=main ", folder_));
}

std::string GitRepository::Commit(const Files& files, const std::string& branch) {
  const std::string git = absl::StrCat("git --git-dir=", folder_);
  const std::string reference = absl::StrCat("refs/heads/", branch);
  std::string stream = absl::StrCat("commit ", reference,
                                    "\ncommitter Test <test@example.com> now\ndata 6\nchange\n");
  if (!Run(absl::StrCat(git, " for-each-ref ", reference)).empty()) {
    absl::StrAppend(&stream, "from ", reference, "^0\n");
  }
  for (const auto& [path, content] : files) {
    absl::StrAppend(&stream, "M 100644 inline ", path, "\ndata ", content.size(), "\n", content,
                    "\n");
  }
  const std::string input = absl::StrCat(TemporaryFolder(), "/", UniqueName("commit"));
  WriteFile(input, stream);
  return Run(absl::StrCat(git, " fast-import --quiet --date-format=now <", input, " && ", git,
                          " rev-parse ", reference));
}

void GitRepository::Tag(const std::string& tag, const std::string& commit) {
  Run(absl::StrCat("git --git-dir=", folder_, " update-ref refs/tags/", tag, " ", commit));
}

void GitRepository::MoveBranch(const std::string& branch, const std::string& commit) {
  Run(absl::StrCat("git --git-dir=", folder_, " update-ref refs/heads/", branch, " ", commit));
}

// ---- ChartRepository ---------------------------------------------------------------

Files ChartFiles(const std::string& chart, const std::string& version,
                 const std::string& config_map) {
  return {
      {"Chart.yaml", absl::StrCat("apiVersion: v2\nname: ", chart, "\nversion: ", version, "\n")},
      {"values.yaml", "image:\n  tag: none\ngreeting: none\n"},
      {"templates/config.yaml",
       absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ", config_map,
                    "\ndata:\n  version: {{ .Chart.Version | quote }}\n"
                    "  tag: {{ .Values.image.tag | quote }}\n"
                    "  kind: {{ kindOf .Values.image.tag }}\n"
                    "  greeting: {{ .Values.greeting | quote }}\n")}};
}

ChartRepository::ChartRepository(const std::string& name)
    : folder_(BedFile("repositories/charts/" + name)),
      url_(BedUrl("/charts/" + name)),
      index_("apiVersion: v1\nentries:\n") {}

void ChartRepository::Add(const std::string& chart, const std::string& version,
                          const std::string& config_map) {
  const std::string unpacked = absl::StrCat(TemporaryFolder(), "/", UniqueName("chart"));
  for (const auto& [path, content] : ChartFiles(chart, version, config_map)) {
    WriteFile(absl::StrCat(unpacked, "/", chart, "/", path), content);
  }
  const std::string archive = absl::StrCat(chart, "-", version, ".tgz");
  std::filesystem::create_directories(folder_);
  Run(absl::StrCat("tar -czf ", folder_, "/", archive, " -C ", unpacked, " ", chart));
  // One chart per repository: versions follow each other below its name.
  if (index_.find(absl::StrCat("  ", chart, ":\n")) == std::string::npos) {
    absl::StrAppend(&index_, "  ", chart, ":\n");
  }
  absl::StrAppend(&index_, "  - {apiVersion: v2, name: ", chart, ", version: ", version,
                  ", urls: [", url_, "/", archive, "]}\n");
  WriteFile(folder_ + "/index.yaml", index_);
}

}  // namespace gantry::integration
