// SPDX-License-Identifier: GPL-2.0-or-later
// A directory for one test, removed with all that is in it.
#ifndef UBLK_TESTS_TEMPORARY_DIRECTORY_H
#define UBLK_TESTS_TEMPORARY_DIRECTORY_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace ublk::test {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = testing::TempDir() + "ublk-test-XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

    std::string path(const std::string& name = "") const {
        return name.empty() ? path_ : path_ + "/" + name;
    }

    // Creates the directories on the way, too.
    std::string write(const std::string& name, const std::string& text) const {
        const std::filesystem::path file = path(name);
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return file.string();
    }

    std::string create_file(const std::string& name, std::uintmax_t size) const {
        const std::string file = write(name, "");
        std::filesystem::resize_file(file, size);
        return file;
    }

    void link(const std::string& name, const std::string& target) const {
        const std::filesystem::path file = path(name);
        std::filesystem::create_directories(file.parent_path());
        std::filesystem::create_symlink(target, file);
    }

private:
    std::string path_;
};

} // namespace ublk::test

#endif
