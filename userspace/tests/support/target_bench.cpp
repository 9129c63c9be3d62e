// SPDX-License-Identifier: GPL-2.0-or-later
// Puts a Queue on top of a FakeDriver and turns it by hand.
#include "support/target_bench.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

#include "targets/registry.h"

namespace ublk::test {

Result<std::unique_ptr<Target>> create_target(std::string_view name,
                                              const std::vector<std::string>& words,
                                              const GeometryRequest& request) {
    auto info = targets::find(name);
    if (!info)
        return info.error();
    auto values = parse_options((*info)->options, words);
    if (!values)
        return values.error();
    return (*info)->create(*values, request);
}

std::vector<std::byte> pattern(std::size_t length, unsigned seed) {
    std::vector<std::byte> data(length);
    for (std::size_t i = 0; i < length; ++i)
        data[i] = static_cast<std::byte>(i * 7 + seed);
    return data;
}

std::vector<int> descriptors_of(Target& target) {
    FileTable files;
    target.register_files(files);
    return {files.descriptors().begin() + 1, files.descriptors().end()};
}

TargetBench::TargetBench(Target& target, unsigned depth, CopyMode copy, const SharedPlace* shared)
    : driver_(std::make_shared<FakeDriver>(1, depth)), checked_(target), workers_(driver_),
      depth_(depth) {
    std::unique_ptr<Uring> uring = *driver_->create_ring(Queue::ring_entries(depth));
    FileTable files;
    target.register_files(files);
    uring->register_files(files.descriptors());
    std::unique_ptr<DataPath> data = *make_data_path(
        copy, {0, depth, checked_.geometry().max_io_bytes, shared ? shared : &nothing_shared_});
    EXPECT_TRUE(data->prepare(*uring));
    queue_ = std::make_unique<Queue>(
        Queue::Parts{.index = 0,
                     .depth = depth,
                     .uring = std::move(uring),
                     .data = std::move(data),
                     .frames = *FramePool::create(Queue::frame_blocks(depth, target.frames())),
                     .descriptors = driver_->map_descriptors(-1, 0, depth)->first,
                     .target = &checked_,
                     .workers = &workers_});
    EXPECT_TRUE(queue_->begin());
    EXPECT_EQ(queue_->fetch_all(), 0);
}

TargetBench::~TargetBench() {
    driver_->take_back_tags();
    queue_->run();
}

int TargetBench::request(const BlockRequest& request) {
    driver_->issue(0, 0, request);
    while (!driver_->result(0, 0))
        queue_->step(0);
    return *driver_->result(0, 0);
}

void TargetBench::finish_all() {
    const auto all_armed = [this] {
        for (unsigned tag = 0; tag < depth_; ++tag)
            if (!driver_->armed(0, tag))
                return false;
        return true;
    };
    while (!all_armed())
        queue_->step(0);
}

int TargetBench::read(std::uint64_t offset, std::span<std::byte> data) {
    const int result = request({.op = UBLK_IO_OP_READ,
                                .sector = offset / sector_size,
                                .sectors = static_cast<std::uint32_t>(data.size() / sector_size)});
    if (result > 0)
        std::copy_n(driver_->pages(0, 0).begin(), result, data.begin());
    return result;
}

int TargetBench::write(std::uint64_t offset, std::span<const std::byte> data, std::uint32_t flags) {
    driver_->pages(0, 0).assign(data.begin(), data.end());
    return request({.op = UBLK_IO_OP_WRITE,
                    .sector = offset / sector_size,
                    .sectors = static_cast<std::uint32_t>(data.size() / sector_size),
                    .flags = flags});
}

int TargetBench::flush() { return request({.op = UBLK_IO_OP_FLUSH}); }

int TargetBench::discard(std::uint64_t offset, std::uint64_t length) {
    return request({.op = UBLK_IO_OP_DISCARD,
                    .sector = offset / sector_size,
                    .sectors = static_cast<std::uint32_t>(length / sector_size)});
}

int TargetBench::write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
    return request({.op = UBLK_IO_OP_WRITE_ZEROES,
                    .sector = offset / sector_size,
                    .sectors = static_cast<std::uint32_t>(length / sector_size),
                    .flags = flags});
}

int TargetBench::zone(unsigned op, std::uint64_t offset) {
    return request({.op = op, .sector = offset / sector_size});
}

int TargetBench::append(std::uint64_t zone, std::span<const std::byte> data, std::uint32_t flags) {
    driver_->pages(0, 0).assign(data.begin(), data.end());
    return request({.op = UBLK_IO_OP_ZONE_APPEND,
                    .sector = zone / sector_size,
                    .sectors = static_cast<std::uint32_t>(data.size() / sector_size),
                    .flags = flags});
}

std::uint64_t TargetBench::appended_at(unsigned tag) {
    return driver_->appended_at(0, tag) * sector_size;
}

std::vector<blk_zone> TargetBench::report(std::uint64_t offset, unsigned zones) {
    const int result =
        request({.op = UBLK_IO_OP_REPORT_ZONES, .sector = offset / sector_size, .sectors = zones});
    std::vector<blk_zone> found(result < 0 ? 0 : zones);
    std::memcpy(found.data(), driver_->pages(0, 0).data(), found.size() * sizeof(blk_zone));
    std::erase_if(found, [](const blk_zone& zone) { return zone.len == 0; });
    return found;
}

} // namespace ublk::test
