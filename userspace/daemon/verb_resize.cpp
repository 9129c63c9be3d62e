// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd resize`: gives a device another size while it is in use.
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/options.h>
#include <ublk/server.h>

#include "number.h"
#include "output.h"
#include "server_commands.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

// Above what a server gives its driver.
constexpr std::chrono::seconds answer_limit{30};

class Resize final : public Verb {
public:
    std::string_view name() const override { return "resize"; }
    std::string_view summary() const override {
        return "give a device another size, in use or not";
    }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.word("SIZE", size_,
                       "bytes, or with a suffix K, M, G or T; auto: what the backing has by now",
                       Need::required);
        arguments.flag("--shrink", may_shrink_, "even if that makes it smaller");
    }

    std::string notes() const override {
        return "\nA file is made longer (sparsely) if SIZE needs it; a block device must have "
               "grown\n"
               "already. I/O goes on meanwhile. Nothing is ever cut off: after --shrink what lies\n"
               "behind the new end is out of reach, until the device grows again.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        auto request = parse_request();
        if (!request)
            return request.error();
        auto resized =
            ask_server_of(context.paths, *number, name(), answer_limit,
                          [&](const Asked& asked) { return ask_to_resize(asked, *request); });
        if (!resized)
            return resized.error();
        print(*number, *resized, context);
        return Exit::ok;
    }

private:
    Result<SizeRequest> parse_request() const {
        SizeRequest request;
        request.may_shrink = may_shrink_;
        if (size_ == "auto")
            return request;
        auto bytes = parse_size(size_);
        if (!bytes)
            return Error{EINVAL, "size '" + size_ + "'",
                         "give bytes, a number with suffix K, M, G or T, or auto",
                         ErrorKind::usage};
        request.bytes = *bytes;
        return request;
    }

    static void print(int number, const Resized& resized, const Context& context) {
        const std::string path = context.paths.block_node(number);
        if (context.json)
            print_json({{"device", path},
                        {"id", number},
                        {"size", resized.after},
                        {"old_size", resized.before}});
        else
            daemon::print(fmt::format("{}: {}\n", path, format_size(resized.after)));
    }

    std::string device_;
    std::string size_;
    bool may_shrink_ = false;
};

} // namespace

std::unique_ptr<Verb> make_resize() { return std::make_unique<Resize>(); }

} // namespace ublk::daemon
