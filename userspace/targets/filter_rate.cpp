// SPDX-License-Identifier: GPL-2.0-or-later
// The `rate` filter: no more bytes and requests a second than were agreed. Each request takes what
// it costs from an account that fills by itself; who finds it empty waits for his turn.
#include <algorithm>
#include <chrono>
#include <mutex>

#include <ublk/filter.h>

namespace ublk::targets {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr OptionInfo options[] = {
    {"bytes", OptionType::size, "", "most bytes read and written per second (default: no limit)"},
    {"requests", OptionType::number, "", "most requests per second (default: no limit)"},
    {"burst", OptionType::duration, "100ms", "how much of unused time is kept for later"},
};

// When so much can be had next, where a second gives `rate`.
class Account {
public:
    // How long whoever takes it now must wait.
    nanoseconds take(std::uint64_t amount, Clock::time_point now, nanoseconds burst) {
        if (rate_ == 0)
            return nanoseconds{0};
        paid_until_ = std::max(paid_until_, now - burst);
        const nanoseconds wait = std::max(paid_until_ - now, nanoseconds{0});
        paid_until_ += nanoseconds{static_cast<std::int64_t>(static_cast<double>(amount) * 1e9 /
                                                             static_cast<double>(rate_))};
        return wait;
    }
    void set_rate(std::uint64_t rate) {
        rate_ = rate;
        paid_until_ = Clock::now();
    }
    std::uint64_t rate() const { return rate_; }

private:
    std::uint64_t rate_ = 0; // 0: no limit
    Clock::time_point paid_until_{};
};

class Rate final : public Filter {
public:
    Rate(std::unique_ptr<Target> next, const OptionValues& values) : Filter(std::move(next)) {
        set(values);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const nanoseconds wait = wait_for(request);
        if (wait.count() > 0)
            co_await ring.sleep(wait);
        co_return co_await next().serve(ring, request);
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "rate")
            return Filter::command(name, words);
        auto values = parse_options(options, words, Defaults::none);
        if (!values)
            return values.error();
        const std::lock_guard lock{mutex_};
        set(*values);
        return Reply{{"bytes", std::to_string(bytes_.rate())},
                     {"requests", std::to_string(requests_.rate())},
                     {"burst", format_duration(static_cast<std::uint64_t>(burst_.count()))}};
    }

private:
    nanoseconds wait_for(const Request& request) {
        const Clock::time_point now = Clock::now();
        const std::uint64_t bytes = has_data(request.op) ? request.length : 0;
        const std::lock_guard lock{mutex_};
        return std::max(bytes_.take(bytes, now, burst_), requests_.take(1, now, burst_));
    }

    void set(const OptionValues& values) {
        if (values.is_set("bytes"))
            bytes_.set_rate(values.size("bytes"));
        if (values.is_set("requests"))
            requests_.set_rate(values.size("requests"));
        if (values.is_set("burst"))
            burst_ = nanoseconds{values.nanoseconds("burst")};
    }

    std::mutex mutex_{};
    // Guarded by the mutex, which is not held across a wait.
    Account bytes_;
    Account requests_;
    nanoseconds burst_{0};
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
