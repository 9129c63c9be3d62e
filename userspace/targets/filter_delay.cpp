// SPDX-License-Identifier: GPL-2.0-or-later
// The `delay` filter: every read and write takes longer, and what else is asked for.
#include <array>
#include <atomic>
#include <chrono>

#include <ublk/filter.h>

namespace ublk::targets {

namespace {

constexpr OptionInfo options[] = {
    {"read", OptionType::duration, "", "how much longer a read takes"},
    {"write", OptionType::duration, "", "how much longer a write takes"},
    {"flush", OptionType::duration, "", "how much longer a flush takes"},
    {"trim", OptionType::duration, "", "how much longer a discard or write of zeroes takes"},
};
enum Kind : std::size_t { read, write, flush, trim, kinds };

Kind kind_of(Op op) {
    switch (op) {
    case Op::flush:
        return flush;
    case Op::discard:
    case Op::write_zeroes:
        return trim;
    default:
        return is_write(op) ? write : read;
    }
}

class Delay final : public Filter {
public:
    Delay(std::unique_ptr<Target> next, const OptionValues& values) : Filter(std::move(next)) {
        set(values);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const std::chrono::nanoseconds delay{delays_[kind_of(request.op)].load()};
        if (delay.count() > 0)
            co_await ring.sleep(delay);
        co_return co_await next().serve(ring, request);
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "delay")
            return Filter::command(name, words);
        auto values = parse_options(options, words, Defaults::none);
        if (!values)
            return values.error();
        set(*values);
        Reply reply;
        for (std::size_t kind = 0; kind < kinds; ++kind)
            reply.emplace_back(options[kind].name, format_duration(delays_[kind]));
        return reply;
    }

private:
    void set(const OptionValues& values) {
        for (std::size_t kind = 0; kind < kinds; ++kind)
            if (values.is_set(options[kind].name))
                delays_[kind] = values.nanoseconds(options[kind].name);
    }

    std::array<std::atomic<std::uint64_t>, kinds> delays_{}; // nanoseconds
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    return std::unique_ptr<Target>{std::make_unique<Delay>(std::move(inner.front()), values)};
}

} // namespace

extern const TargetInfo delay_info;
const TargetInfo delay_info{.name = "delay",
                            .summary = "requests take longer",
                            .options = options,
                            .wrap = wrap,
                            .least = 1,
                            .most = 1};

} // namespace ublk::targets
