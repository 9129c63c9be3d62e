// SPDX-License-Identifier: GPL-2.0-or-later
// One client of a Ceph cluster with one image or snapshot that it has open, for all queues of a
// disk.
#ifndef UBLK_TARGETS_RBD_IMAGE_H
#define UBLK_TARGETS_RBD_IMAGE_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <ublk/result.h>
#include <ublk/unique_fd.h>

#include "rbd_library.h"

namespace ublk::targets {

// What a user says of an image; what is empty is not given.
struct RbdName {
    std::string image;
    std::string pool;
    std::string name_space;
    std::string snapshot;
    std::string conf;    // a file
    std::string client;  // "client.admin"
    std::string keyring; // a file
    bool read_only = false;

    std::string text() const; // "pool/namespace/image@snapshot"
};

// What the cluster says of it. Sizes are bytes.
struct RbdFacts {
    std::string fsid{};
    std::int64_t pool = 0;
    std::string id{};
    std::optional<std::uint64_t> snapshot{}; // its number
    std::uint64_t size = 0;                  // as it was when it was opened
    std::uint64_t object_size = 0;
    std::uint64_t stripe_unit = 0;
    std::uint64_t stripe_count = 0;
    std::uint64_t discard_granularity = 0;
    bool can_lock = false; // it has the feature exclusive-lock
    bool locked = false;   // by us, exclusively
    bool cached = false;   // by the client: what was written may be nowhere else until a flush
};

class RbdImage {
public:
    // Waits for the cluster for `limit`, and as long as a lock of a dead owner lasts besides. Of
    // what has taken too long the rest is undone in the background.
    static Result<std::unique_ptr<RbdImage>> open(const RbdName& name,
                                                  std::chrono::nanoseconds limit);
    RbdImage(const RbdImage&) = delete;
    RbdImage& operator=(const RbdImage&) = delete;
    // Waits for all that is under way, and for the cluster; see close_within().
    ~RbdImage();
    // Gives the lock back and leaves the cluster, unless somebody else has the image, too. False:
    // it goes on in the background, for as long as the cluster does not answer; the lock ends with
    // this client at the latest.
    static bool close_within(std::shared_ptr<RbdImage> image, std::chrono::nanoseconds limit);

    const RbdLibrary& library() const noexcept { return library_; }
    rbd_image_t handle() const noexcept { return image_; }
    const RbdFacts& facts() const noexcept { return facts_; }
    const RbdName& name() const noexcept { return name_; }

    // As it is now. Waits for the cluster if it has changed.
    Result<std::uint64_t> size() const;
    // Waits for the cluster.
    Result<void> grow(std::uint64_t size) const;
    // An eventfd that can be read when somebody has changed the size of the image.
    int size_events() const noexcept { return resized_.get(); }

private:
    // What is being waited for, for whoever gives up.
    using Step = std::atomic<const char*>;
    using Opened = Result<std::unique_ptr<RbdImage>>;

    RbdImage(const RbdLibrary& library, RbdName name) noexcept
        : library_(library), name_(std::move(name)) {}
    static Opened reach(const RbdLibrary& library, const RbdName& name,
                        std::chrono::nanoseconds limit, Step& step);
    static Opened take_lock(std::unique_ptr<RbdImage> image);
    Result<void> reach_cluster(std::chrono::nanoseconds limit);
    Result<void> configure(std::chrono::nanoseconds limit);
    Result<void> connect();
    Result<void> open_pool();
    Result<void> open_image();
    Result<void> choose_snapshot();
    Result<void> learn();
    Result<void> learn_settings();
    Result<void> lock();
    Result<void> watch();
    std::string lock_owner() const;
    bool names_monitors() const;
    void look_at_size() noexcept;

    const RbdLibrary& library_;
    RbdName name_;
    RbdFacts facts_{};
    UniqueFd resized_{};
    std::atomic<std::uint64_t> known_size_{0};
    rados_t cluster_ = nullptr;
    rados_ioctx_t pool_ = nullptr;
    rbd_image_t image_ = nullptr;
    std::optional<std::uint64_t> watch_{};
};

} // namespace ublk::targets

#endif
