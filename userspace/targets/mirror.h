// SPDX-License-Identifier: GPL-2.0-or-later
// The `mirror` target: the same data on several legs. Reads go to one, changes to all; a leg that
// fails is left, and catches up when it is back. Documentation/mirror.rst says in which order
// things reach stable storage, and why.
#ifndef UBLK_TARGETS_MIRROR_H
#define UBLK_TARGETS_MIRROR_H

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/composite.h>
#include <ublk/mutex.h>
#include <ublk/unique_fd.h>

#include "mirror_format.h"
#include "mirror_plan.h"
#include "mirror_regions.h"

namespace ublk::targets {

struct MirrorOptions {
    MirrorWish wish{};
    bool lenient = false;          // the disk exists: go on without legs that cannot be had
    std::uint64_t resync_rate = 0; // bytes per second while nobody else is at work
    std::chrono::nanoseconds settle_time{}; // after which a chunk that is left alone is clean
};

class Mirror final : public Composite {
public:
    // The descriptors are eventfds. `geometry` is that of the disk, `legs` are theirs.
    struct Parts {
        std::vector<std::unique_ptr<Target>> legs;
        Geometry geometry{};
        MirrorOptions options{};
        UniqueFd kick{}; // wakes what runs in the background
        UniqueFd done{}; // tells that something there has ended
    };
    explicit Mirror(Parts parts);

    Geometry geometry() const override { return geometry_; }
    // What is written to several legs must not change meanwhile, as the pages of a user may.
    DataAccess data_access() const override { return DataAccess::memory; }
    std::vector<std::string> remarks() const override;
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override;
    Async<Result<void>> begin(Ring ring) override;
    Async<void> end(Ring ring) override;
    Async<Answer> serve(Ring ring, Request request) override;
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override;
    void measure(Metrics& metrics) const override;

private:
    using Block = mirror_format::Block;
    using Chunk = Regions::Chunk;
    using Answers = std::array<Answer, mirror_format::most_legs>;
    static_assert(mirror_format::most_legs == 8);
    static constexpr Answers no_answers{0, 0, 0, 0, 0, 0, 0, 0};

    // Which legs are how, a bit for each. Those that are nowhere are out. Aligned so that it is
    // read and written at once.
    struct alignas(4) Standing {
        std::uint8_t in_sync = 0;
        std::uint8_t syncing = 0; // written to, but not read
        std::uint8_t leaving = 0; // out, which the others do not know yet on stable storage
        std::uint8_t spare = 0;
        unsigned written() const noexcept { return unsigned{in_sync} | syncing; }
    };

    struct alignas(64) Leg {
        std::string name{}; // for people
        bool caches = false;
        bool fua = false;
        bool zeroes = false;
        std::atomic<std::uint64_t> reads_begun{0};
        std::atomic<std::uint64_t> reads_ended{0};
        std::atomic<std::uint64_t> repaired{0}; // reads
        std::atomic<std::uint64_t> left{0};     // how often
    };

    struct alignas(4096) Page {
        Block bytes{};
    };

    // What a user asks for by command().
    struct Order {
        std::uint64_t number = 0;
        bool rejoin = false; // or else fail
        unsigned leg = 0;
        std::optional<Result<void>> outcome{};
    };

    // mirror.cpp: the way of a request.
    Async<Answer> read(Ring ring, Request request);
    Async<Answer> change(Ring ring, Request request);
    Async<Answer> ask(Ring ring, Request request, unsigned legs);
    Async<int> enter_slowly(Ring ring, Chunk chunk, Chunk last);
    unsigned choose_reader(unsigned legs) const noexcept;
    Request for_leg(unsigned leg, const Request& request) const noexcept;
    Chunk chunk_at(std::uint64_t offset) const noexcept {
        return static_cast<Chunk>(offset >> chunk_shift_);
    }
    std::uint64_t chunks() const noexcept {
        return ((geometry_.size_bytes - 1) >> chunk_shift_) + 1;
    }

    // mirror_failures.cpp: what becomes of legs that fail, and of the requests that saw it.
    Async<Answer> sort_out(Ring ring, Request request, unsigned asked, Answers answers);
    Async<Answer> read_elsewhere(Ring ring, Request request, unsigned failed, Answer answer);
    Async<void> mend(Ring ring, Request request, unsigned leg, Answer answer);
    Async<bool> repair(Ring ring, Request request, unsigned leg);
    Async<bool> rewrite(Ring ring, Request request, unsigned leg);
    bool give_up(unsigned leg, std::string_view doing, int error);
    Async<int> settle(Ring ring);
    Async<int> settle_locked(Ring ring);
    std::string describe(unsigned leg) const;

    // mirror_metadata.cpp: what is in front of the data. With metadata_ locked, but for intend().
    Async<int> intend(Ring ring, Chunk first, Chunk last);
    Async<int> store_superblocks(Ring ring, Standing standing);
    void compose_bitmap(std::uint32_t block) noexcept;
    void note_stored_bitmap(std::uint32_t block) noexcept;
    Async<int> store_bitmap(Ring ring, unsigned legs, std::uint32_t block);
    Async<int> store_whole_bitmap(Ring ring, unsigned legs);
    Async<int> doubt_everything(Ring ring);
    Async<int> store_pages(Ring ring, unsigned legs, std::uint64_t place);
    Request for_page(Op op, unsigned leg, std::uint64_t place);
    Async<Answer> store(Ring ring, unsigned leg, std::uint64_t place);
    Async<Answer> load(Ring ring, unsigned leg, std::uint64_t place);
    Async<int> flush_legs(Ring ring, unsigned legs);
    Async<int> clean(Ring ring);
    Async<int> store_cleaned(Ring ring);
    std::size_t collect_cleanable(Standing standing);
    bool bit(Chunk chunk) const noexcept;
    bool stable_bit(Chunk chunk) const noexcept;
    void set_bit(Chunk chunk) noexcept;
    void reset_bit(Chunk chunk) noexcept;
    void set_all_bits(std::uint64_t from) noexcept;

    // mirror_start.cpp: from what is found on the legs to a mirror that serves, and its end.
    Async<Result<unsigned>> begin_legs(Ring ring);
    Async<void> end_legs(Ring ring, unsigned legs);
    Async<void> undo_begin(Ring ring, unsigned legs);
    Async<Result<void>> go_without_others(Ring ring, unsigned begun);
    Async<Result<void>> assemble_once(Ring ring);
    Async<Result<void>> assemble(Ring ring);
    Async<Result<FoundLeg>> look_at(Ring ring, unsigned leg);
    Async<Result<void>> load_bitmaps(Ring ring, MirrorPlan plan);
    Async<bool> load_bitmap(Ring ring, unsigned leg);
    void add_bits(unsigned leg, std::uint32_t block) noexcept;
    Async<Result<void>> take_up(Ring ring, MirrorPlan plan);
    void tell_standing() const;

    // mirror_resync.cpp: what goes on in the background, on the ring of one queue.
    static Async<void> run_in_background(Mirror* mirror, Ring ring);
    static Async<void> clean_at_the_end(Mirror* mirror, Ring ring);
    Async<void> wait_until_idle(Ring ring, std::atomic<bool>* runs,
                                std::optional<std::chrono::nanoseconds> limit);
    Async<void> obey(Ring ring);
    Result<unsigned> leg_named(std::string_view command, std::span<const std::string> words) const;
    Result<void> order(std::string_view command, unsigned leg);
    Async<Result<void>> carry_out(Ring ring, Order order);
    Async<Result<void>> rejoin(Ring ring, unsigned leg);
    Async<void> resync_some(Ring ring);
    Async<bool> copy_window(Ring ring, std::uint64_t offset, std::uint64_t length);
    Async<bool> copy_to(Ring ring, Request request, unsigned legs);
    Async<void> finish_resync(Ring ring);
    std::chrono::nanoseconds pause_after(std::uint64_t bytes);
    std::uint64_t dirty_chunks() const noexcept;
    void kick() const noexcept;
    void begin_resync() noexcept;

    std::string_view name_of_standing(unsigned leg) const noexcept;

    // Constant once it was assembled.
    Geometry geometry_;
    MirrorOptions options_;
    std::vector<Leg> legs_;
    mirror_format::Uuid uuid_{};
    unsigned chunk_shift_ = 0;
    std::uint64_t window_ = 0; // that is copied at a time
    std::unique_ptr<Regions> regions_{};

    std::atomic<Standing> standing_{};
    std::mutex standing_mutex_{}; // of those that change it
    std::atomic<std::uint64_t> changes_{0};
    std::atomic<bool> last_has_failed_{false};
    std::atomic<bool> ending_{false}; // legs fail because they are told to

    // The bits of all chunks, as they are to be; those of a block lie together.
    std::vector<std::atomic<std::uint8_t>> bits_{};

    Mutex metadata_{};
    // With metadata_ locked.
    std::vector<Page> pages_;            // one for each leg
    std::vector<std::uint8_t> stable_{}; // the bits that all legs have on stable storage
    std::vector<Chunk> cleaned_{};
    std::uint64_t events_ = 0;
    bool superblocks_are_old_ = false;

    Mutex assembly_{};
    std::optional<Result<void>> assembled_{}; // with assembly_ locked
    std::mutex queues_mutex_{};
    std::map<unsigned, unsigned> begun_{}; // queue: its legs; with queues_mutex_ locked
    std::atomic<unsigned> unreachable_{0}; // legs that could not begin
    unsigned home_ = 0; // the queue whose ring does what goes on in the background

    UniqueFd kick_;
    UniqueFd done_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> background_runs_{false};
    std::atomic<bool> cleaning_runs_{false};
    // Of the background.
    std::atomic<std::uint64_t> resynced_to_{0}; // bytes of the disk; its end: nothing to do
    std::atomic<std::uint64_t> resynced_bytes_{0};
    std::uint64_t seen_activity_ = 0;
    std::chrono::steady_clock::time_point next_clean_{};

    std::mutex order_mutex_{};
    std::condition_variable ordered_{};
    // With order_mutex_ locked.
    std::optional<Order> order_{};
    std::uint64_t orders_ = 0;
};

void tell_of_mirror(const std::string& what);

// Whether that is what a leg answers which has done all of it.
bool is_complete(const Request& request, const Answer& answer);

} // namespace ublk::targets

#endif
