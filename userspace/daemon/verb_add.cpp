// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd add`: makes a device from a target and leaves a server behind.
#include <cerrno>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <ublk/control.h>
#include <ublk/options.h>
#include <ublk/recovery.h>

#include "../targets/registry.h"
#include "disk_name.h"
#include "names.h"
#include "number.h"
#include "serve.h"
#include "start.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

constexpr std::uint64_t most_queues = 4096;
constexpr std::uint64_t most_requests = 4096;
constexpr std::uint64_t highest_number = (1U << 20) - 1;
constexpr std::uint64_t largest_geometry_size = 256U << 20;

// A number given on the command line, or what holds without it.
Result<std::uint64_t> given_or(std::uint64_t otherwise, std::string_view option,
                               const std::optional<std::string>& text, Range range) {
    if (!text)
        return otherwise;
    return parse_number_in(option, *text, range);
}

Result<std::uint32_t> size_or_zero(std::string_view option,
                                   const std::optional<std::string>& text) {
    if (!text)
        return 0U;
    auto size = parse_size(*text);
    if (!size || *size == 0 || *size > largest_geometry_size)
        return Error{EINVAL, fmt::format("{}={}", option, *text),
                     fmt::format("use a size up to {}", format_size(largest_geometry_size)),
                     ErrorKind::usage};
    return static_cast<std::uint32_t>(*size);
}

template <typename Mode> std::vector<std::string> names_of(std::initializer_list<Mode> modes) {
    std::vector<std::string> names;
    for (const Mode mode : modes)
        names.emplace_back(name_of(mode));
    return names;
}

class Add final : public Verb {
public:
    std::string_view name() const override { return "add"; }
    std::string_view summary() const override { return "make a block device and print its path"; }

    void declare(Arguments& arguments) override {
        arguments.word("TARGET", target_, "what the device is made of; see ublkd targets",
                       Need::required);
        arguments.words("KEY=VALUE", words_, "options of the target");
        arguments.options("--filter", "NAME[:K=V,...]", filters_,
                          "stands in front of the target, the first given outermost; see ublkd "
                          "filters");
        arguments.options("--child", "'TARGET KEY=VALUE...'", children_,
                          "what a target such as mirror stands on, in order; filters of a child "
                          "behind it: '... | NAME:K=V'");
        arguments.option("-n,--number", "N", number_,
                         "make /dev/ublkbN (default: the first free one)");
        arguments.option("--name", "NAME", name_,
                         "also /dev/disk/by-id/ublk-NAME, and the serial number that lsblk shows");
        arguments.option("-q,--queues", "N", queues_,
                         "hardware queues, each with a thread (default 1)");
        arguments.option("-d,--depth", "N", depth_, "requests in flight per queue (default 128)");
        arguments.option("-b,--block-size", "BYTES", block_size_, "logical block size");
        arguments.option("--physical-block-size", "BYTES", physical_block_size_,
                         "physical block size");
        arguments.option("--max-io", "BYTES", max_io_, "longest read or write");
        arguments.choice("--copy", "MODE", copy_,
                         "how data get to the server and back: auto, driver, user, zero or shmem "
                         "(default auto)",
                         names_of({CopyMode::automatic, CopyMode::driver, CopyMode::user,
                                   CopyMode::zero, CopyMode::shmem}));
        arguments.option("--shmem", "FILE", shared_file_,
                         "memory to share with users of the disk, for --copy=shmem");
        arguments.choice(
            "--recovery", "MODE", recovery_,
            "what becomes of the disk without its server: off, queue, reissue or fail "
            "(default off)",
            names_of({Recovery::off, Recovery::queue, Recovery::reissue, Recovery::fail}));
        arguments.flag("-r,--read-only", read_only_, "refuse to write");
        arguments.flag("--foreground", foreground_, "serve in this process, until Ctrl-C");
    }

    std::string notes() const override {
        std::string text =
            "\nSizes take a suffix K, M, G or T.\n"
            "\nCopy modes:\n"
            "  driver  the driver copies to and from buffers of the server; always possible\n"
            "  user    the server copies, with buffers only while it needs them; zoned disks know "
            "no\n"
            "          other way\n"
            "  zero    nobody copies; for targets that hand the data on, such as loop\n"
            "  shmem   nobody copies what lies in FILE, which users of the disk map, too: a file "
            "on\n"
            "          hugetlbfs or in /dev/shm, or /proc/PID/fd/N for a memfd; of other memory "
            "the\n"
            "          driver copies. Nobody may make FILE shorter: that kills the server\n"
            "  auto    what driver and target do best; ublkd show tells which and why\n"
            "\nRecovery modes:\n"
            "  off      the disk goes with its server\n"
            "  queue    it stays: what the server had fails, the rest waits for ublkd recover\n"
            "  reissue  it stays, and all waits; what was done but not answered is done twice\n"
            "  fail     it stays, and I/O fails until ublkd recover\n"
            "Only targets whose data are all elsewhere can be recovered: neither ram nor zoned.\n";
        for (const TargetInfo* target : targets::all()) {
            text += fmt::format("\nKeys of {} ({}):\n", target->name, target->summary);
            std::vector<Row> rows;
            for (const OptionInfo& option : target->options)
                rows.push_back({fmt::format("  {}=", option.name),
                                std::string(name_of(option.type)),
                                option.required ? "required" : std::string(option.default_value),
                                std::string(option.help)});
            text += format_table(rows);
        }
        return text;
    }

    Result<Exit> run(const Context& context) override {
        auto request = make_request();
        if (!request)
            return request.error();
        const auto service = [&](const Announce& announce) {
            return serve(*request, context.paths, announce);
        };
        auto done = foreground_ ? start_here(service, context) : start_behind(service, context);
        if (!done)
            return in_context(target_, done.error());
        return Exit::ok;
    }

private:
    Result<ServeRequest> make_request() const {
        auto stack = parse_stack();
        if (!stack)
            return stack.error();
        auto geometry = geometry_request();
        if (!geometry)
            return geometry.error();
        auto server = server_options();
        if (!server)
            return server.error();
        auto name = name_ ? parse_disk_name(*name_) : std::string{};
        if (!name)
            return name.error();
        auto shared_file = shared_file_ ? absolute_name("--shmem", *shared_file_) : std::string{};
        if (!shared_file)
            return shared_file.error();
        return ServeRequest{*std::move(stack), *geometry, *server, *shared_file, *name};
    }

    // The server's working directory and descriptors are others.
    Result<targets::Stack> parse_stack() const {
        auto target = targets::parse_target(target_, words_);
        if (!target)
            return target.error();
        targets::Stack stack{*std::move(target)};
        for (const std::string& text : filters_) {
            auto layer = targets::parse_filter(text);
            if (!layer)
                return layer.error();
            stack.filters.push_back(*std::move(layer));
        }
        for (std::size_t i = 0; i < children_.size(); ++i) {
            auto child = targets::parse_child(children_[i]);
            if (!child)
                return in_context(fmt::format("{}: child {}", target_, i), child.error());
            stack.children.push_back(*std::move(child));
        }
        if (auto renamed = targets::rename_paths(stack, lasting_name); !renamed)
            return renamed.error();
        return stack;
    }

    Result<GeometryRequest> geometry_request() const {
        auto logical = size_or_zero("--block-size", block_size_);
        if (!logical)
            return logical.error();
        auto physical = size_or_zero("--physical-block-size", physical_block_size_);
        if (!physical)
            return physical.error();
        auto max_io = size_or_zero("--max-io", max_io_);
        if (!max_io)
            return max_io.error();
        return GeometryRequest{*logical, *physical, *max_io, read_only_};
    }

    Result<ServerOptions> server_options() const {
        ServerOptions options;
        auto queues = given_or(options.queues, "--queues", queues_, {1, most_queues});
        if (!queues)
            return queues.error();
        auto depth = given_or(options.depth, "--depth", depth_, {1, most_requests});
        if (!depth)
            return depth.error();
        options.queues = static_cast<unsigned>(*queues);
        options.depth = static_cast<unsigned>(*depth);
        if (copy_) {
            auto copy = parse_copy_mode(*copy_);
            if (!copy)
                return copy.error();
            options.copy = *copy;
        }
        if (recovery_) {
            auto recovery = parse_recovery(*recovery_);
            if (!recovery)
                return recovery.error();
            options.recovery = *recovery;
        }
        if (number_) {
            auto number = parse_number_in("--number", *number_, {0, highest_number});
            if (!number)
                return number.error();
            options.number = static_cast<int>(*number);
        }
        return options;
    }

    std::string target_;
    std::vector<std::string> words_;
    std::vector<std::string> filters_;
    std::optional<std::string> name_;
    std::vector<std::string> children_;
    std::optional<std::string> number_;
    std::optional<std::string> queues_;
    std::optional<std::string> depth_;
    std::optional<std::string> block_size_;
    std::optional<std::string> physical_block_size_;
    std::optional<std::string> max_io_;
    std::optional<std::string> copy_;
    std::optional<std::string> shared_file_;
    std::optional<std::string> recovery_;
    bool read_only_ = false;
    bool foreground_ = false;
};

} // namespace

std::unique_ptr<Verb> make_add() { return std::make_unique<Add>(); }

} // namespace ublk::daemon
