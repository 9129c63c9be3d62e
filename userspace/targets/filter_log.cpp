// SPDX-License-Identifier: GPL-2.0-or-later
// The `log` filter: a line for each request, with what became of it and how long that took.
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include <fcntl.h>
#include <ublk/filter.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

constexpr OptionInfo options[] = {
    {"file", OptionType::path, "", "where the lines are appended", true},
};

class Log final : public Filter {
public:
    Log(std::unique_ptr<Target> next, UniqueFd file)
        : Filter(std::move(next)), file_(std::move(file)), registered_(file_.get()) {}

    void register_files(FileTable& files) override {
        registered_ = files.add(file_.get());
        Filter::register_files(files);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const auto begun = std::chrono::steady_clock::now();
        const Answer answer = co_await next().serve(ring, request);
        const auto took = std::chrono::steady_clock::now() - begun;
        char line[128];
        const int length = std::snprintf(
            line, sizeof line,
            "q%u t%u %s offset=%" PRIu64 " length=%" PRIu64 "%s result=%d us=%lld\n",
            ring.queue_index(), unsigned{request.tag}, name_of(request.op), request.offset,
            request.length, request.fua ? " fua" : "", answer.result(),
            static_cast<long long>(
                std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
        // Appended, wherever: the file was opened so. A line that cannot be written harms no
        // request.
        co_await ring.write(registered_,
                            std::as_bytes(std::span{line, static_cast<std::size_t>(length)}), 0);
        co_return answer;
    }

private:
    UniqueFd file_;
    File registered_;
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    const std::string& path = values.text("file");
    UniqueFd file{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)};
    if (!file)
        return Error{errno, "file=" + path, "the log filter writes there: check the path"};
    return std::unique_ptr<Target>{
        std::make_unique<Log>(std::move(inner.front()), std::move(file))};
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
