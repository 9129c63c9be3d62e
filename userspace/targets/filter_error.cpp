// SPDX-License-Identifier: GPL-2.0-or-later
// The `error` filter: some requests fail, chosen by operation, place, chance and number.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <random>
#include <sstream>

#include <ublk/filter.h>

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
    unsigned operations = 0; // bits: 1 << Op
    int error = EIO;
    std::uint64_t from = 0;
    std::uint64_t to = UINT64_MAX;
    unsigned percent = 100;
    std::uint64_t left = UINT64_MAX; // that are still to fail
};

Result<unsigned> parse_operations(const std::string& text) {
    unsigned bits = 0;
    std::istringstream words{text};
    for (std::string word; std::getline(words, word, '+');) {
        unsigned found = 0;
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
    rule.percent = static_cast<unsigned>(values.size("percent"));
    rule.left = values.is_set("count") ? values.size("count") : UINT64_MAX;
    return rule;
}

class Fail final : public Filter {
public:
    Fail(std::unique_ptr<Target> next, const Rule& rule, std::uint64_t seed)
        : Filter(std::move(next)), rule_(rule), chance_(seed) {}

    Async<Answer> serve(Ring ring, Request request) override {
        if (const int error = error_for(request))
            return Answer::failed(error);
        return next().serve(ring, request);
    }

    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "error")
            return Filter::command(name, words);
        auto values = parse_options(options, words);
        auto rule = values ? make_rule(*values) : Result<Rule>{values.error()};
        if (!rule)
            return rule.error();
        const std::lock_guard lock{mutex_};
        if (!words.empty())
            rule_ = *rule;
        return Reply{{"failed", std::to_string(failed_)}};
    }

    void measure(Metrics& metrics) const override {
        {
            const std::lock_guard lock{mutex_};
            metrics.add("error", "failed_requests", failed_);
        }
        Filter::measure(metrics);
    }

private:
    // 0: it goes on.
    int error_for(const Request& request) {
        const std::lock_guard lock{mutex_};
        if (!(rule_.operations & (1U << static_cast<unsigned>(request.op))) || rule_.left == 0)
            return 0;
        const bool somewhere = request.op != Op::flush;
        if (somewhere &&
            (request.offset >= rule_.to || request.offset + request.length <= rule_.from))
            return 0;
        if (chance_() % 100 >= rule_.percent)
            return 0;
        if (rule_.left != UINT64_MAX)
            --rule_.left;
        ++failed_;
        return rule_.error;
    }

    mutable std::mutex mutex_{};
    // Guarded by the mutex, which is not held across a wait.
    Rule rule_;
    std::mt19937_64 chance_;
    std::uint64_t failed_ = 0;
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    auto rule = make_rule(values);
    if (!rule)
        return rule.error();
    return std::unique_ptr<Target>{
        std::make_unique<Fail>(std::move(inner.front()), *rule, values.size("seed"))};
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
