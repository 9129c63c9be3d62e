// SPDX-License-Identifier: GPL-2.0-or-later
// The way of a request through a mirror, and how one is made.
#include "mirror.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>

#include <sys/eventfd.h>
#include <ublk/task_group.h>

namespace ublk::targets {

namespace {

constexpr std::uint64_t largest_window = 256U << 10;

std::string name_of_leg(const Target& leg) {
    const auto backings = leg.backings();
    return backings.empty() || backings.front().name.empty() ? ""
                                                             : " (" + backings.front().name + ")";
}

} // namespace

bool is_complete(const Request& request, const Answer& answer) {
    return has_data(request.op) ? answer.result() == static_cast<int>(request.length)
                                : !answer.is_error();
}

void tell_of_mirror(const std::string& what) {
    std::fprintf(stderr, "ublkd: mirror: %s\n", what.c_str());
}

Mirror::Mirror(Parts parts)
    : Composite(std::move(parts.legs)), geometry_(parts.geometry), options_(parts.options),
      legs_(count()), pages_(count()), kick_(std::move(parts.kick)), done_(std::move(parts.done)) {
    window_ = std::min<std::uint64_t>(largest_window, geometry_.max_io_bytes);
    for (unsigned i = 0; i < count(); ++i) {
        if (!has_part(i))
            continue;
        const Geometry geometry = part(i).geometry();
        legs_[i].name = name_of_leg(part(i));
        legs_[i].caches = geometry.volatile_cache;
        legs_[i].fua = geometry.fua;
        legs_[i].zeroes = geometry.max_write_zeroes_bytes >= window_;
    }
}

std::vector<std::string> Mirror::remarks() const {
    std::vector<std::string> all = Composite::remarks();
    for (unsigned i = 0; i < count(); ++i)
        if (!has_part(i))
            all.push_back("child " + std::to_string(i) + " is missing");
    return all;
}

Result<std::uint64_t> Mirror::resize(std::optional<std::uint64_t> size) {
    static_cast<void>(size);
    return Error{EOPNOTSUPP, "resize",
                 "make the legs larger, then delete the disk and add it again: the mirror is as "
                 "large as its smallest leg",
                 ErrorKind::usage};
}

Async<Answer> Mirror::serve(Ring ring, Request request) {
    switch (request.op) {
    case Op::read:
        return read(ring, request);
    case Op::write:
    case Op::discard:
    case Op::write_zeroes:
        return change(ring, request);
    case Op::flush:
        return ask(ring, request, standing_.load().written());
    default:
        return Answer{-EOPNOTSUPP}; // of zones, which this device has not
    }
}

Request Mirror::for_leg(unsigned leg, const Request& request) const noexcept {
    Request own = request;
    if (own.op != Op::flush)
        own.offset += mirror_format::data_offset;
    own.fua = request.fua && legs_[leg].fua;
    return own;
}

// The one with the least to do, and the first of those.
unsigned Mirror::choose_reader(unsigned legs) const noexcept {
    auto best = static_cast<unsigned>(std::countr_zero(legs));
    std::uint64_t least = UINT64_MAX;
    for (unsigned left = legs; left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        const std::uint64_t ended = legs_[leg].reads_ended.load(std::memory_order_relaxed);
        const std::uint64_t under_way =
            legs_[leg].reads_begun.load(std::memory_order_relaxed) - ended;
        if (under_way < least) {
            least = under_way;
            best = leg;
        }
    }
    return best;
}

Async<Answer> Mirror::read(Ring ring, Request request) {
    const unsigned leg = choose_reader(standing_.load().in_sync);
    legs_[leg].reads_begun.fetch_add(1, std::memory_order_relaxed);
    const Answer answer = co_await part(leg).serve(ring, for_leg(leg, request));
    legs_[leg].reads_ended.fetch_add(1, std::memory_order_relaxed);
    if (is_complete(request, answer)) [[likely]]
        co_return answer;
    co_return co_await read_elsewhere(ring, request, leg, answer);
}

// The chunks are held until all is settled: who copies one finds the legs as the answer says.
Async<Answer> Mirror::change(Ring ring, Request request) {
    const Chunk first = chunk_at(request.offset);
    const Chunk last = chunk_at(request.offset + request.length - 1);
    Chunk held = first;
    int error = 0;
    for (; held <= last && !error; ++held)
        if (regions_->enter(held) != Regions::Entry::entered) [[unlikely]]
            error = co_await enter_slowly(ring, held, last);
    Answer answer = Answer{error};
    if (!error) [[likely]]
        answer = co_await ask(ring, request, standing_.load().written());
    else
        --held; // which it is not
    for (Chunk chunk = first; chunk < held; ++chunk)
        regions_->leave(chunk);
    changes_.fetch_add(1, std::memory_order_relaxed);
    co_return answer;
}

// All that is to be marked from there on is marked at once.
Async<int> Mirror::enter_slowly(Ring ring, Chunk chunk, Chunk last) {
    for (;;) {
        switch (regions_->enter(chunk)) {
        case Regions::Entry::entered:
            co_return 0;
        case Regions::Entry::locked:
            co_await regions_->wait_for_unlock(ring, chunk);
            break;
        case Regions::Entry::unmarked:
            if (const int error = co_await intend(ring, chunk, last))
                co_return error;
            break;
        }
    }
}

Async<Answer> Mirror::ask(Ring ring, Request request, unsigned legs) {
    if (request.op == Op::flush)
        for (unsigned i = 0; i < count(); ++i)
            legs &= legs_[i].caches ? ~0U : ~(1U << i);
    if (legs == 0)
        co_return request.done();
    Answers answers = no_answers;
    const auto last = static_cast<unsigned>(std::bit_width(legs)) - 1;
    TaskGroup others;
    for (unsigned left = legs & ~(1U << last); left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        others.start(part(leg).serve(ring, for_leg(leg, request)), answers[leg]);
    }
    answers[last] = co_await part(last).serve(ring, for_leg(last, request));
    co_await others;
    bool complete = true;
    for (unsigned left = legs; left; left &= left - 1)
        complete &= is_complete(request, answers[static_cast<unsigned>(std::countr_zero(left))]);
    if (!complete || standing_.load().leaving) [[unlikely]]
        co_return co_await sort_out(ring, request, legs, answers);
    co_return request.done();
}

namespace {

constexpr OptionInfo options[] = {
    {"chunk", OptionType::size, "",
     "of a new mirror: what a bit of the bitmap stands for, a power of two from 64K (default: from "
     "the size, 1M at least)"},
    {"keep", OptionType::number, "",
     "if the children do not agree: the number of the one whose data are right, from 0; all others "
     "are overwritten"},
    {"resync-rate", OptionType::size, "200M",
     "bytes per second for a leg that catches up; a quarter of it while others use the disk"},
    {"settle", OptionType::duration, "5s",
     "how long what was written stays marked as being under way"},
};

Error misfit(std::string step, std::string hint) {
    return Error{EINVAL, std::move(step), std::move(hint), ErrorKind::usage};
}

Result<Geometry> combine_legs(const std::vector<std::unique_ptr<Target>>& legs,
                              const GeometryRequest& request) {
    std::vector<Geometry> geometries;
    for (const auto& leg : legs)
        if (leg)
            geometries.push_back(leg->geometry());
    auto geometry = combine(geometries);
    if (!geometry)
        return geometry;
    if (geometry->size_bytes <= mirror_format::data_offset)
        return misfit("size", "a child needs more than the 1 MiB that the mirror has for itself");
    geometry->size_bytes -= mirror_format::data_offset;
    if (request.size_bytes && request.size_bytes < geometry->size_bytes)
        geometry->size_bytes = request.size_bytes; // the disk that there is
    DiscardLimits& discard = geometry->discard;
    if (discard.granularity)
        discard.alignment =
            static_cast<std::uint32_t>((discard.alignment + discard.granularity -
                                        mirror_format::data_offset % discard.granularity) %
                                       discard.granularity);
    return geometry;
}

Result<MirrorOptions> parse(const OptionValues& values, const Geometry& geometry,
                            const GeometryRequest& request, std::size_t legs) {
    MirrorOptions parsed;
    const std::uint64_t chunk = values.size("chunk");
    if (values.is_set("chunk") &&
        (!std::has_single_bit(chunk) || chunk < mirror_format::smallest_chunk ||
         chunk > mirror_format::largest_chunk))
        return misfit("chunk=" + std::to_string(chunk), "give a power of two from 64K to 1T");
    if (values.is_set("keep")) {
        if (values.size("keep") >= legs)
            return misfit("keep=" + std::to_string(values.size("keep")),
                          "give the number of a child, 0 to " + std::to_string(legs - 1));
        parsed.wish.keep = static_cast<unsigned>(values.size("keep"));
    }
    if (values.size("resync-rate") == 0)
        return misfit("resync-rate=0", "then no leg would ever catch up");
    parsed.wish.chunk = chunk;
    parsed.wish.size = geometry.size_bytes;
    parsed.wish.read_only = geometry.read_only;
    parsed.lenient = request.size_bytes != 0;
    parsed.resync_rate = values.size("resync-rate");
    parsed.settle_time = std::chrono::nanoseconds{values.nanoseconds("settle")};
    return parsed;
}

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest& request) {
    auto geometry = combine_legs(inner, request);
    if (!geometry)
        return geometry.error();
    auto parsed = parse(values, *geometry, request, inner.size());
    if (!parsed)
        return parsed.error();
    UniqueFd kick{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!kick || !done)
        return Error{errno, "create an eventfd"};
    return std::unique_ptr<Target>{std::make_unique<Mirror>(
        Mirror::Parts{std::move(inner), *geometry, *parsed, std::move(kick), std::move(done)})};
}

} // namespace

extern const TargetInfo mirror_info;
const TargetInfo mirror_info{.name = "mirror",
                             .summary = "the same data on several children: --child, twice or more",
                             .options = options,
                             .wrap = wrap,
                             .least = 2,
                             .most = mirror_format::most_legs};

} // namespace ublk::targets
