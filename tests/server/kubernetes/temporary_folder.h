// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_KUBERNETES_TEMPORARY_FOLDER_H_
#define GANTRY_TESTS_SERVER_KUBERNETES_TEMPORARY_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace gantry::kubernetes {

// A folder of a test's own, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "gantry-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // The full path of the file written. As with a mounted Secret, the content changes at once.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file.string() + ".new") << content;
    std::filesystem::rename(file.string() + ".new", file);
    return file;
  }
  // A shell script that can be run.
  std::string WriteScript(const std::string& name, const std::string& commands) const {
    const std::string file = Write(name, "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
  }
  void Remove(const std::string& name) const {
    std::filesystem::remove(std::filesystem::path(path_) / name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(std::filesystem::path(path_) / name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  std::string path_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_TESTS_SERVER_KUBERNETES_TEMPORARY_FOLDER_H_
