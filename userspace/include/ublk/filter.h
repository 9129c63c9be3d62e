// SPDX-License-Identifier: MIT
// Filter is a target that stands on another one, and hands on whatever it does not change.
#ifndef UBLK_FILTER_H
#define UBLK_FILTER_H

#include <memory>
#include <utility>

#include <ublk/target.h>

namespace ublk {

// An author overrides serve(), and what else the filter changes:
// `co_return co_await next().serve(ring, request);` hands a request on.
class Filter : public Target {
public:
    explicit Filter(std::unique_ptr<Target> next) : next_(std::move(next)) {}

    Geometry geometry() const override { return next_->geometry(); }
    unsigned frames() const override { return usual_frames + next_->frames(); }
    // A filter that looks at the data says so: DataAccess::memory.
    DataAccess data_access() const override { return next_->data_access(); }
    Persistence persistence() const override { return next_->persistence(); }
    std::vector<BackingUse> backings() const override { return next_->backings(); }
    std::optional<bool> is_direct() const override { return next_->is_direct(); }
    std::vector<std::string> remarks() const override { return next_->remarks(); }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        return next_->resize(size);
    }
    int size_events() const override { return next_->size_events(); }
    void register_files(FileTable& files) override { next_->register_files(files); }
    Async<Result<void>> begin(Ring ring) override { return next_->begin(ring); }
    Async<void> end(Ring ring) override { return next_->end(ring); }
    Result<void> finish() override { return next_->finish(); }
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        return next_->command(name, words);
    }
    void measure(Metrics& metrics) const override { next_->measure(metrics); }
    std::vector<std::string> paths() const override { return next_->paths(); }

protected:
    Target& next() const noexcept { return *next_; }

private:
    std::unique_ptr<Target> next_;
};

} // namespace ublk

#endif
