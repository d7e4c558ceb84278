// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_REPOSITORIES_H_
#define GANTRY_TESTS_ARGOCD_REPOSITORIES_H_

#include <map>
#include <string>

namespace gantry::integration {

// Paths and what is in the files.
using Files = std::map<std::string, std::string>;

// A git repository on the server beside the real Argo CD. The test's own thread.
class GitRepository {
 public:
  // Makes one without commits.
  explicit GitRepository(const std::string& name);

  const std::string& url() const { return url_; }
  // Adds a commit to a branch, which begins with it when it is new: its files are those before with
  // these changed. Returns its id.
  std::string Commit(const Files& files, const std::string& branch = "main");
  // Points a tag at a commit; another than before, when it is there.
  void Tag(const std::string& tag, const std::string& commit);
  // Points a branch at a commit, whatever it had.
  void MoveBranch(const std::string& branch, const std::string& commit);

 private:
  const std::string folder_;
  const std::string url_;
};

// A repository of Helm charts on that server. The test's own thread.
class ChartRepository {
 public:
  explicit ChartRepository(const std::string& name);

  const std::string& url() const { return url_; }
  // Adds a version of a chart whose only template is a ConfigMap named `config_map` with the
  // chart's version in `version` and its parameter `image.tag` in `tag`.
  void Add(const std::string& chart, const std::string& version, const std::string& config_map);

 private:
  const std::string folder_;
  const std::string url_;
  std::string index_;
};

// A chart's files as they are below its folder.
Files ChartFiles(const std::string& chart, const std::string& version,
                 const std::string& config_map);

// The folder and the address of what argocd.sh has started.
std::string BedFile(const std::string& name);
std::string BedUrl(const std::string& path);

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_ARGOCD_REPOSITORIES_H_
