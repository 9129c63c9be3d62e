// SPDX-License-Identifier: GPL-2.0-or-later
// The `rate` filter: no more bytes and requests a second than were agreed. Each request takes what
// it costs from an account that fills by itself; who finds it empty waits for his turn.
#include <algorithm>
#include <atomic>
#include <chrono>

#include <ublk/filter.h>

#include "pause.h"
#include "published.h"
#include "settings.h"

namespace ublk::targets {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr OptionInfo options[] = {
    {"bytes", OptionType::size, "", "most bytes read and written per second (default: no limit)"},
    {"requests", OptionType::number, "", "most requests per second (default: no limit)"},
    {"burst", OptionType::duration, "100ms", "how much of unused time is kept for later"},
};

struct Limits {
    std::uint64_t bytes = 0; // per second; 0: no limit
    std::uint64_t requests = 0;
    std::int64_t burst = 0; // nanoseconds

    bool are_none() const { return bytes == 0 && requests == 0; }
};

Limits limits_in(const OptionValues& values) {
    return {.bytes = values.size("bytes"),
            .requests = values.size("requests"),
            .burst = static_cast<std::int64_t>(values.nanoseconds("burst"))};
}

// In nanoseconds of the steady clock, which begin with the machine.
std::int64_t now() {
    return std::chrono::duration_cast<nanoseconds>(Clock::now().time_since_epoch()).count();
}

// When so much can be had next, where a second gives `rate`. By any thread.
class Account {
public:
    // How long whoever takes it now must wait.
    std::int64_t take(std::uint64_t amount, std::uint64_t rate, std::int64_t burst,
                      std::int64_t now) {
        if (rate == 0)
            return 0;
        const std::int64_t cost = cost_of(amount, rate);
        std::int64_t paid = paid_until_.load(std::memory_order_relaxed);
        for (;;) {
            const std::int64_t from = std::clamp(paid, now - burst, now + longest);
            if (paid_until_.compare_exchange_weak(paid, from + cost, std::memory_order_relaxed))
                return std::max(from - now, std::int64_t{0});
        }
    }
    // What was taken before costs nothing.
    void begin_anew(std::int64_t now) { paid_until_.store(now, std::memory_order_relaxed); }

private:
    // A year: no sum of such overflows.
    static constexpr std::int64_t longest = std::int64_t{365} * 24 * 3600 * 1'000'000'000;

    static std::int64_t cost_of(std::uint64_t amount, std::uint64_t rate) {
        const double cost = static_cast<double>(amount) * 1e9 / static_cast<double>(rate);
        return static_cast<std::int64_t>(std::min(cost, static_cast<double>(longest)));
    }

    std::atomic<std::int64_t> paid_until_{0};
};

class Rate final : public Filter {
public:
    Rate(std::unique_ptr<Target> next, const OptionValues& values)
        : Filter(std::move(next)), settings_(options, values), limits_(limits_in(values)) {}

    // Who waits when the limits change takes a turn by the new ones.
    Async<Answer> serve(Ring ring, Request request) override {
        std::uint64_t turn = turn_.load(std::memory_order_acquire);
        nanoseconds left = wait_for(request);
        if (left.count() > 0)
            throttled_.fetch_add(1, std::memory_order_relaxed);
        while (left.count() > 0 && !ending_.load(std::memory_order_relaxed)) {
            const nanoseconds pause = next_pause(left);
            co_await ring.sleep(pause);
            left -= pause;
            if (const std::uint64_t latest = turn_.load(std::memory_order_acquire);
                latest != turn) {
                turn = latest;
                left = wait_for(request);
            }
        }
        co_return co_await next().serve(ring, request);
    }

    Async<void> end(Ring ring) override {
        ending_.store(true, std::memory_order_relaxed);
        return Filter::end(ring);
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "rate")
            return Filter::command(name, words);
        return settings_.change(words, [&](const OptionValues& values) {
            if (!words.empty())
                change(limits_in(values));
        });
    }

    void measure(Metrics& metrics) const override {
        metrics.add("rate", "throttled_requests", throttled_.load(std::memory_order_relaxed));
        Filter::measure(metrics);
    }

private:
    nanoseconds wait_for(const Request& request) {
        const Limits limits = limits_.get();
        if (limits.are_none())
            return nanoseconds{0};
        const std::int64_t at = now();
        const std::uint64_t bytes = has_data(request.op) ? request.length : 0;
        return nanoseconds{std::max(bytes_.take(bytes, limits.bytes, limits.burst, at),
                                    requests_.take(1, limits.requests, limits.burst, at))};
    }

    void change(const Limits& limits) {
        limits_.set(limits);
        bytes_.begin_anew(now());
        requests_.begin_anew(now());
        turn_.fetch_add(1, std::memory_order_release);
    }

    Settings settings_;
    Published<Limits> limits_;
    Account bytes_;
    Account requests_;
    std::atomic<std::uint64_t> turn_{0}; // of those who wait: grows with each change
    std::atomic<bool> ending_{false};
    std::atomic<std::uint64_t> throttled_{0};
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    return std::unique_ptr<Target>{std::make_unique<Rate>(std::move(inner.front()), values)};
}

} // namespace

extern const TargetInfo rate_info;
const TargetInfo rate_info{.name = "rate",
                           .summary = "no more bytes and requests a second than these",
                           .options = options,
                           .wrap = wrap,
                           .least = 1,
                           .most = 1};

} // namespace ublk::targets
