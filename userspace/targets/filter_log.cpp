// SPDX-License-Identifier: GPL-2.0-or-later
// The `log` filter: a line for each request, with what became of it and how long that took.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <ublk/filter.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "identity.h"
#include "settings.h"

namespace ublk::targets {

namespace {

using std::chrono::nanoseconds;

constexpr OptionInfo options[] = {
    {"file", OptionType::path, "", "where the lines are appended", true},
    {"slower", OptionType::duration, "0ns", "only of requests that take at least so long"},
};

class Log final : public Filter {
public:
    Log(std::unique_ptr<Target> next, UniqueFd file, BackingUse use, const OptionValues& values)
        : Filter(std::move(next)), settings_(options, values), file_(std::move(file)),
          registered_(file_.get()), use_(std::move(use)) {
        apply(values);
    }

    std::vector<BackingUse> backings() const override {
        std::vector<BackingUse> uses{use_};
        for (const BackingUse& below : Filter::backings())
            uses.push_back(below);
        return uses;
    }

    void register_files(FileTable& files) override {
        registered_ = files.add(file_.get());
        Filter::register_files(files);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const auto begun = std::chrono::steady_clock::now();
        const Answer answer = co_await next().serve(ring, request);
        const nanoseconds took = std::chrono::steady_clock::now() - begun;
        if (took.count() < slower_.load(std::memory_order_relaxed))
            co_return answer;
        std::array<char, 128> line{};
        const auto length =
            static_cast<std::size_t>(format(line, ring.queue_index(), request, answer, took));
        // Appended, wherever: the file was opened so. A line that cannot be written harms no
        // request.
        const int written =
            co_await ring.write(registered_, std::as_bytes(std::span{line.data(), length}), 0);
        if (written != static_cast<int>(length))
            lost_.fetch_add(1, std::memory_order_relaxed);
        co_return answer;
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "log")
            return Filter::command(name, words);
        if (names(words, "file"))
            return Error{EINVAL, "log: option file",
                         "the server cannot open another one, it has left the mounts of its users",
                         ErrorKind::usage};
        return settings_.change(words, [this](const OptionValues& values) { apply(values); });
    }

    void measure(Metrics& metrics) const override {
        metrics.add("log", "lost_lines", lost_.load(std::memory_order_relaxed));
        Filter::measure(metrics);
    }

private:
    static int format(std::span<char> line, unsigned queue, const Request& request,
                      const Answer& answer, nanoseconds took) {
        return std::snprintf(
            line.data(), line.size(),
            "q%u t%u %s offset=%" PRIu64 " length=%" PRIu64 "%s result=%d us=%lld\n", queue,
            unsigned{request.tag}, name_of(request.op), request.offset, request.length,
            request.fua ? " fua" : "", answer.result(),
            static_cast<long long>(
                std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    }

    void apply(const OptionValues& values) {
        slower_.store(static_cast<std::int64_t>(values.nanoseconds("slower")),
                      std::memory_order_relaxed);
    }

    Settings settings_;
    UniqueFd file_;
    File registered_;
    BackingUse use_;
    std::atomic<std::int64_t> slower_{0}; // nanoseconds
    std::atomic<std::uint64_t> lost_{0};
};

// Lines are no use in the middle of a disk, and a pipe would wait for its reader.
Result<UniqueFd> open_log(const std::string& path) {
    UniqueFd file{::open(path.c_str(),
                         O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600)};
    if (!file && errno != ENXIO && errno != EISDIR)
        return Error{errno, "file=" + path, "the log filter writes there: check the path"};
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode))
        return Error{EINVAL, "file=" + path, "the log filter appends to a regular file only",
                     ErrorKind::usage};
    ::fcntl(file.get(), F_SETFL, O_APPEND);
    return file;
}

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    const std::string& path = values.text("file");
    auto file = open_log(path);
    if (!file)
        return file.error();
    auto things = identify(file->get());
    if (!things)
        return things.error();
    BackingUse use{BackingUse::Access::appends, *std::move(things), "file=" + path};
    return std::unique_ptr<Target>{
        std::make_unique<Log>(std::move(inner.front()), *std::move(file), std::move(use), values)};
}

} // namespace

extern const TargetInfo log_info;
const TargetInfo log_info{.name = "log",
                          .summary = "a line for each request",
                          .options = options,
                          .wrap = wrap,
                          .least = 1,
                          .most = 1};

} // namespace ublk::targets
