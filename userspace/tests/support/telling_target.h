// SPDX-License-Identifier: GPL-2.0-or-later
// A target that answers each question in a way of its own, to see which filters hand on.
#ifndef UBLK_TESTS_TELLING_TARGET_H
#define UBLK_TESTS_TELLING_TARGET_H

#include <cerrno>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/target.h>

namespace ublk::test {

class TellingTarget : public Target {
public:
    DataAccess data_access() const override { return DataAccess::ring; }
    Persistence persistence() const override { return Persistence::flushed; }
    std::vector<BackingUse> backings() const override {
        BackingUse use;
        use.name = "file=/disk";
        return {use};
    }
    std::optional<bool> is_direct() const override { return true; }
    std::vector<std::string> remarks() const override { return {"it is slow"}; }
    std::vector<std::string> paths() const override { return {"/disk"}; }
    void register_files(FileTable& files) override { files.add(7); }
    Async<Result<void>> begin(Ring) override {
        calls.emplace_back("begin");
        co_return Result<void>{};
    }
    Async<void> end(Ring) override {
        calls.emplace_back("end");
        co_return;
    }
    Result<void> finish() override {
        calls.emplace_back("finish");
        return Error{ENOSPC, "store the rest"};
    }
    Result<Reply> command(std::string_view name, std::span<const std::string>) override {
        return Reply{{std::string(name), "done"}};
    }
    void measure(Metrics& metrics) const override { metrics.add("telling", "told", 3); }

    std::vector<std::string> calls{}; // in their order
};

} // namespace ublk::test

#endif
