// SPDX-License-Identifier: GPL-2.0-or-later
// Builds mirrors from words, and turns their queue while a command waits for its answer.
#include "support/mirror_bench.h"

#include <algorithm>
#include <fstream>

#include "workers.h"

namespace ublk::test {

Bytes content_of(const std::string& path) {
    Bytes bytes(std::filesystem::file_size(path));
    std::ifstream file{path, std::ios::binary};
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

Bytes data_of(const std::string& path) {
    Bytes bytes = content_of(path);
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(mirror_data));
    return bytes;
}

std::string leg_on(const std::string& path, const std::string& filters) {
    return "loop file=" + path + " direct=no" + (filters.empty() ? "" : " | " + filters);
}

std::vector<std::string> hasty(std::vector<std::string> more) {
    more.emplace_back("resync-rate=1T");
    const bool settles = std::any_of(more.begin(), more.end(), [](const std::string& word) {
        return word.starts_with("settle=");
    });
    if (!settles)
        more.emplace_back("settle=0ms");
    return more;
}

Result<std::unique_ptr<Target>> make_mirror(const std::vector<std::string>& children,
                                            const std::vector<std::string>& options,
                                            const GeometryRequest& request) {
    auto layer = targets::parse_target("mirror", options);
    if (!layer)
        return layer.error();
    targets::Stack stack{*layer};
    for (const std::string& text : children) {
        auto child = targets::parse_child(text);
        if (!child)
            return child.error();
        stack.children.push_back(*child);
    }
    return targets::build(stack, request);
}

Result<void> try_mirror(const std::vector<std::string>& children,
                        const std::vector<std::string>& options, const GeometryRequest& request) {
    auto target = make_mirror(children, options, request);
    if (!target)
        return target.error();
    const auto driver = std::make_shared<FakeDriver>(1, 1);
    CheckedTarget checked{**target};
    Workers workers{driver};
    std::unique_ptr<Uring> uring = *driver->create_ring(Queue::ring_entries(1));
    FileTable files;
    (*target)->register_files(files);
    uring->register_files(files.descriptors());
    const SharedPlace nothing_shared{nullptr};
    std::unique_ptr<DataPath> data =
        *make_data_path(CopyMode::driver, {0, 1, checked.geometry().max_io_bytes, &nothing_shared});
    static_cast<void>(data->prepare(*uring));
    Queue queue{
        Queue::Parts{.index = 0,
                     .depth = 1,
                     .uring = std::move(uring),
                     .data = std::move(data),
                     .frames = *FramePool::create(Queue::frame_blocks(1, (*target)->frames())),
                     .descriptors = driver->map_descriptors(-1, 0, 1)->first,
                     .target = &checked,
                     .workers = &workers}};
    auto begun = queue.begin();
    queue.run(); // which ends at once: there are no tags
    return begun;
}

MirrorBench::MirrorBench(const std::vector<std::string>& children,
                         const std::vector<std::string>& options, const GeometryRequest& request,
                         unsigned depth) {
    auto made = make_mirror(children, options, request);
    EXPECT_TRUE(made) << made.error().message();
    target_ = *std::move(made);
    bench_.emplace(*target_, depth);
}

Result<Reply> MirrorBench::command(const std::string& name, const std::vector<std::string>& words) {
    auto answer = std::async(std::launch::async, [&] { return target_->command(name, words); });
    while (answer.wait_for(std::chrono::seconds{0}) != std::future_status::ready)
        bench_->queue().step(0);
    return answer.get();
}

std::string MirrorBench::standing(unsigned leg) {
    const auto reply = command("legs");
    EXPECT_TRUE(reply);
    for (const auto& [name, value] : *reply)
        if (name == "child " + std::to_string(leg))
            return value.substr(0, value.find(" ("));
    return "";
}

std::uint64_t MirrorBench::metric(const std::string& layer, const std::string& name) const {
    Metrics metrics;
    target_->measure(metrics);
    for (const Metrics::Entry& entry : metrics.entries())
        if (entry.layer == layer && entry.name == name)
            return entry.value;
    ADD_FAILURE() << "no " << layer << " " << name;
    return 0;
}

} // namespace ublk::test
