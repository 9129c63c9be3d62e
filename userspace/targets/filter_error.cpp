// SPDX-License-Identifier: GPL-2.0-or-later
// The `error` filter: some requests fail, chosen by operation, place, chance and number.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <ublk/filter.h>

#include "published.h"
#include "settings.h"

namespace ublk::targets {

namespace {

constexpr OptionInfo options[] = {
    {"op", OptionType::text, "",
     "operations that fail: read, write, flush, discard, "
     "write_zeroes, joined by + (default: all)"},
    {"errno", OptionType::text, "EIO", "the error, such as EIO or ENOSPC"},
    {"from", OptionType::size, "0", "where the range of those that fail begins"},
    {"to", OptionType::size, "", "and where it ends (default: at the end)"},
    {"percent", OptionType::number, "100", "how many of them fail"},
    {"count", OptionType::number, "", "so many fail, then no more (default: no limit)"},
    {"seed", OptionType::number, "1", "of the chance"},
};

constexpr std::array operations{Op::read, Op::write, Op::flush, Op::discard, Op::write_zeroes};

struct Rule {
    std::uint32_t operations = 0; // bits: 1 << Op
    std::int32_t error = EIO;
    std::uint64_t from = 0;
    std::uint64_t to = UINT64_MAX;
    std::uint64_t percent = 100;

    bool is_about(const Request& request) const {
        if (!(operations & (1U << static_cast<unsigned>(request.op))))
            return false;
        return request.op == Op::flush || // which is nowhere
               (request.offset < to && request.offset + request.length > from);
    }
};

constexpr std::uint64_t no_limit = UINT64_MAX;

std::uint64_t count_in(const OptionValues& values) {
    return values.is_set("count") ? values.size("count") : no_limit;
}

// Numbers that look random, one after the other, for whoever asks: of a counter, what splitmix64
// makes of it.
class Chance {
public:
    explicit Chance(std::uint64_t seed) : next_(seed * step) {}

    void begin_anew(std::uint64_t seed) { next_.store(seed * step, std::memory_order_relaxed); }
    // Below 100.
    std::uint64_t percentile() {
        std::uint64_t number = next_.fetch_add(step, std::memory_order_relaxed);
        number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
        number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
        return (number ^ (number >> 31)) % 100;
    }

private:
    static constexpr std::uint64_t step = 0x9e3779b97f4a7c15;
    std::atomic<std::uint64_t> next_;
};

Result<std::uint32_t> parse_operations(const std::string& text) {
    std::uint32_t bits = 0;
    std::istringstream words{text};
    for (std::string word; std::getline(words, word, '+');) {
        std::uint32_t found = 0;
        for (Op op : operations)
            if (word == name_of(op))
                found = 1U << static_cast<unsigned>(op);
        if (!found)
            return Error{EINVAL, "op=" + text,
                         "say read, write, flush, discard or write_zeroes, joined by +",
                         ErrorKind::usage};
        bits |= found;
    }
    return text.empty() ? ~0U : bits;
}

Result<int> parse_errno(const std::string& text) {
    for (int error = 1; error < 134; ++error) {
        const char* name = ::strerrorname_np(error);
        if (name && text == name)
            return error;
    }
    return Error{EINVAL, "errno=" + text, "give a name such as EIO", ErrorKind::usage};
}

Result<Rule> make_rule(const OptionValues& values) {
    auto wanted = parse_operations(values.text("op"));
    if (!wanted)
        return wanted.error();
    auto error = parse_errno(values.text("errno"));
    if (!error)
        return error.error();
    if (values.size("percent") > 100)
        return Error{EINVAL, "percent", "give 0 to 100", ErrorKind::usage};
    Rule rule;
    rule.operations = *wanted;
    rule.error = *error;
    rule.from = values.size("from");
    rule.to = values.is_set("to") ? values.size("to") : UINT64_MAX;
    rule.percent = values.size("percent");
    return rule;
}

class Fail final : public Filter {
public:
    Fail(std::unique_ptr<Target> next, const Rule& rule, const OptionValues& values)
        : Filter(std::move(next)), settings_(options, values), rule_(rule), left_(count_in(values)),
          chance_(values.size("seed")) {}

    Async<Answer> serve(Ring ring, Request request) override {
        if (const int error = error_for(request))
            return Answer::failed(error);
        return next().serve(ring, request);
    }

    // A new count begins to count, and a new seed its numbers; all else goes on from where it is.
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "error")
            return Filter::command(name, words);
        auto values = settings_.changed_by(words);
        auto rule = values ? make_rule(*values) : Result<Rule>{values.error()};
        if (!rule)
            return rule.error();
        settings_.accept(*values);
        rule_.set(*rule);
        if (names(words, "count"))
            left_.store(count_in(*values), std::memory_order_relaxed);
        if (names(words, "seed"))
            chance_.begin_anew(values->size("seed"));
        return settings_.reply();
    }

    void measure(Metrics& metrics) const override {
        metrics.add("error", "failed_requests", failed_.load(std::memory_order_relaxed));
        Filter::measure(metrics);
    }

private:
    // 0: it goes on.
    int error_for(const Request& request) {
        const Rule rule = rule_.get();
        if (!rule.is_about(request) || left_.load(std::memory_order_relaxed) == 0)
            return 0;
        if (rule.percent < 100 && chance_.percentile() >= rule.percent)
            return 0;
        if (!take_one())
            return 0;
        failed_.fetch_add(1, std::memory_order_relaxed);
        return rule.error;
    }

    // Of those that are still to fail.
    bool take_one() {
        std::uint64_t left = left_.load(std::memory_order_relaxed);
        while (left != 0 && left != no_limit)
            if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed))
                return true;
        return left != 0;
    }

    Settings settings_;
    Published<Rule> rule_;
    std::atomic<std::uint64_t> left_;
    Chance chance_;
    std::atomic<std::uint64_t> failed_{0};
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    auto rule = make_rule(values);
    if (!rule)
        return rule.error();
    return std::unique_ptr<Target>{std::make_unique<Fail>(std::move(inner.front()), *rule, values)};
}

} // namespace

extern const TargetInfo error_info;
const TargetInfo error_info{.name = "error",
                            .summary = "requests fail",
                            .options = options,
                            .wrap = wrap,
                            .least = 1,
                            .most = 1};

} // namespace ublk::targets
