// SPDX-License-Identifier: Apache-2.0
#include "server/observability/port_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace gantry::observability {
namespace {

using ::testing::HasSubstr;

class PortFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "/port-file-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::size_t FilesInFolder() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }

  std::filesystem::path folder_;
};

TEST_F(PortFileTest, IsThereWhileTheObjectIs) {
  const std::filesystem::path path = folder_ / "ports";
  {
    const auto file = PortFile::Write(path, "127.0.0.1:1", "[::1]:2");
    ASSERT_TRUE(file.ok()) << file.status();
    std::ifstream in(path);
    EXPECT_EQ(nlohmann::json::parse(in),
              (nlohmann::json{{"listen", "127.0.0.1:1"}, {"admin", "[::1]:2"}}));
    EXPECT_EQ(FilesInFolder(), 1u);
  }
  EXPECT_EQ(FilesInFolder(), 0u);
}

TEST_F(PortFileTest, ReplacesAFileThatWasLeftBehind) {
  const std::filesystem::path path = folder_ / "ports";
  std::ofstream(path) << "old, and longer than what comes: " << std::string(1000, 'x');
  const auto file = PortFile::Write(path, "a:1", "b:2");
  ASSERT_TRUE(file.ok()) << file.status();
  std::ifstream in(path);
  EXPECT_EQ(nlohmann::json::parse(in).at("listen"), "a:1");
}

TEST_F(PortFileTest, SaysWhyItCannotBeWritten) {
  const std::string path = folder_ / "missing" / "ports";
  const auto file = PortFile::Write(path, "a:1", "b:2");
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.status().ToString(),
              HasSubstr("cannot write " + path + " (--port-file): No such file or directory"));
}

TEST_F(PortFileTest, LeavesNothingBehindWhenItCannotBeWritten) {
  std::filesystem::create_directory(folder_ / "ports");
  EXPECT_FALSE(PortFile::Write(folder_ / "ports", "a:1", "b:2").ok());
  EXPECT_EQ(FilesInFolder(), 1u);
}

}  // namespace
}  // namespace gantry::observability
