// SPDX-License-Identifier: GPL-2.0-or-later
// The `delay` filter: every read and write takes longer, and what else is asked for.
#include <array>
#include <atomic>
#include <chrono>

#include <ublk/filter.h>

#include "pause.h"
#include "settings.h"

namespace ublk::targets {

namespace {

using std::chrono::nanoseconds;

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
    Delay(std::unique_ptr<Target> next, const OptionValues& values)
        : Filter(std::move(next)), settings_(options, values) {
        apply(values);
    }

    // Who waits already hears of a change, too.
    Async<Answer> serve(Ring ring, Request request) override {
        const Kind kind = kind_of(request.op);
        nanoseconds waited{0};
        for (nanoseconds left = delay_of(kind); left.count() > 0; left = delay_of(kind) - waited) {
            if (waited.count() == 0)
                delayed_.fetch_add(1, std::memory_order_relaxed);
            const nanoseconds pause = next_pause(left);
            co_await ring.sleep(pause);
            waited += pause;
        }
        co_return co_await next().serve(ring, request);
    }

    Async<void> end(Ring ring) override {
        ending_.store(true, std::memory_order_relaxed);
        return Filter::end(ring);
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "delay")
            return Filter::command(name, words);
        return settings_.change(words, [this](const OptionValues& values) { apply(values); });
    }

    void measure(Metrics& metrics) const override {
        metrics.add("delay", "delayed_requests", delayed_.load(std::memory_order_relaxed));
        Filter::measure(metrics);
    }

private:
    nanoseconds delay_of(Kind kind) const {
        if (ending_.load(std::memory_order_relaxed))
            return nanoseconds{0};
        return nanoseconds{delays_[kind].load(std::memory_order_relaxed)};
    }

    void apply(const OptionValues& values) {
        for (std::size_t kind = 0; kind < kinds; ++kind)
            delays_[kind].store(static_cast<std::int64_t>(values.nanoseconds(options[kind].name)),
                                std::memory_order_relaxed);
    }

    Settings settings_;
    std::array<std::atomic<std::int64_t>, kinds> delays_{}; // nanoseconds
    std::atomic<bool> ending_{false};
    std::atomic<std::uint64_t> delayed_{0};
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
