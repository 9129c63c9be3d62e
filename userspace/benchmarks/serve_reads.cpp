// SPDX-License-Identifier: GPL-2.0-or-later
// serve_reads ANSWERS [FILTER[:KEY=VALUE,...]]... TARGET [KEY=VALUE]...: serves so many reads of
// 4 KiB, 32 at a time, through the real queue, with neither driver nor io_uring. To be run under
// something that counts.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "checked_target.h"
#include "echo_ring.h"
#include "queue.h"
#include "targets/stack.h"

namespace {

using namespace ublk;

constexpr unsigned depth = 32;
constexpr unsigned bytes = 4096;

// Filters first, the outermost before the others.
Result<std::unique_ptr<Target>> create(const std::vector<std::string>& words) {
    const auto is_option = [](const std::string& word) { return word.find('=') < word.find(':'); };
    const auto options = std::find_if(words.begin(), words.end(), is_option);
    if (options == words.begin())
        return Error{EINVAL, "create a target", "give its name first"};
    auto target = targets::parse_target(*(options - 1), {options, words.end()});
    if (!target)
        return target.error();
    targets::Stack stack{*std::move(target)};
    for (auto word = words.begin(); word + 1 < options; ++word) {
        auto filter = targets::parse_filter(*word);
        if (!filter)
            return filter.error();
        stack.filters.push_back(*std::move(filter));
    }
    return targets::build(stack, {});
}

Result<void> serve(Target& target, std::uint64_t answers) {
    const CheckedTarget checked{target};
    auto data = make_data_path(CopyMode::driver, {0, depth, checked.geometry().max_io_bytes});
    if (!data)
        return data.error();
    auto frames = FramePool::create(Queue::frame_blocks(depth, target.frames()));
    if (!frames)
        return frames.error();
    auto ring =
        std::make_unique<benchmark::EchoRing>(Queue::ring_entries(depth), depth, bytes, answers);
    const benchmark::EchoRing& echo = *ring;
    Queue queue{{.index = 0,
                 .depth = depth,
                 .uring = std::move(ring),
                 .data = *std::move(data),
                 .frames = *std::move(frames),
                 .descriptors = echo.descriptors(),
                 .target = &checked,
                 .workers = nullptr}};
    if (auto begun = queue.begin(); !begun)
        return begun.error();
    queue.fetch_all();
    queue.run();
    if (queue.statistics().requests != answers || echo.wrong() != 0)
        return Error{EIO, "serve " + std::to_string(answers) + " reads"};
    if (queue.statistics().frame_heap_allocations != 0)
        return Error{ENOMEM, "take all frames from the pool"};
    return {};
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    std::uint64_t answers = 0;
    if (words.size() < 2 ||
        std::from_chars(words[0].data(), words[0].data() + words[0].size(), answers).ec !=
            std::errc{}) {
        std::fputs("usage: serve_reads ANSWERS [FILTER]... TARGET [KEY=VALUE]...\n", stderr);
        return 2;
    }
    auto target = create({words.begin() + 1, words.end()});
    const auto served = target ? serve(**target, answers) : Result<void>{target.error()};
    if (!served)
        std::fprintf(stderr, "serve_reads: %s\n", served.error().message().c_str());
    return served ? 0 : 1;
}
