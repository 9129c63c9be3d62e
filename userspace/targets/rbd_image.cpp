// SPDX-License-Identifier: GPL-2.0-or-later
// Every function of librbd that is called here blocks for as long as the cluster likes, so threads
// of their own call them, for which nobody waits without a limit.
#include "rbd_image.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <future>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>
#include <rbd/features.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

// A client that was killed keeps its lock until the OSDs have missed it for
// osd_client_watch_timeout, which is 30 seconds.
constexpr std::chrono::seconds dead_owner_limit{32};

class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

// Runs `function` on a thread of its own, which is nobody's but its own if it is late: then there
// is no value, and what it returns is destroyed by that thread. All threads of librbd descend from
// such ones, and inherit from them: signals are for those who wait for them, and nobody who serves
// a disk may wait for I/O to get memory.
template <class Function>
auto within(std::chrono::nanoseconds limit, Function function)
    -> std::optional<decltype(function())> {
    using Value = decltype(function());
    std::promise<Value> promise;
    auto outcome = promise.get_future();
    try {
        const SignalsBlocked blocked;
        std::thread{[function = std::move(function), promise = std::move(promise)]() mutable {
            ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
            ::pthread_setname_np(::pthread_self(), "ublk-rbd");
            promise.set_value(function());
        }}.detach();
    } catch (const std::system_error& error) {
        return Value{Error{error.code().value(), "start a thread for librbd",
                           "raise the limit of threads: pids.max of the cgroup, ulimit -u"}};
    }
    if (outcome.wait_for(limit) != std::future_status::ready)
        return std::nullopt;
    return outcome.get();
}

// librados would look elsewhere, or say less.
Result<void> check_readable(const std::string& option, const std::string& path) {
    if (::access(path.c_str(), R_OK) == 0)
        return {};
    return Error{errno, option + "=" + path, "give a file that can be read", ErrorKind::usage};
}

Error backend_error(int result, const std::string& step, const std::string& hint) {
    return Error{-result, step, hint, ErrorKind::backend};
}

// Progress of a resize is nobody's concern.
int go_on(std::uint64_t, std::uint64_t, void*) { return 0; }

} // namespace

std::string RbdName::text() const {
    std::string text = pool + "/";
    if (!name_space.empty())
        text += name_space + "/";
    text += image;
    return snapshot.empty() ? text : text + "@" + snapshot;
}

Result<std::unique_ptr<RbdImage>> RbdImage::open(const RbdName& name,
                                                 std::chrono::nanoseconds limit) {
    auto library = RbdLibrary::load();
    if (!library)
        return library.error();
    // Whoever is late still writes there.
    const auto step = std::make_shared<Step>("reach");
    // The client itself gives up after `limit`, and knows better why.
    constexpr std::chrono::seconds longer{2};
    auto reached = within(limit + longer, [library = *library, name, limit, step]() -> Opened {
        return reach(*library, name, limit, *step);
    });
    if (!reached)
        return Error{ETIMEDOUT, std::string(*step) + " " + name.text(),
                     "the cluster of " + name.conf + " does not answer; see ceph -s",
                     ErrorKind::backend};
    if (!*reached)
        return reached->error();
    auto locked = within(dead_owner_limit, [image = **std::move(reached)]() mutable -> Opened {
        return take_lock(std::move(image));
    });
    if (!locked)
        return Error{
            EBUSY, "lock " + name.text(),
            "its owner does not answer, nor has the cluster given it up yet; try again, or "
            "see rbd lock ls"};
    return *std::move(locked);
}

RbdImage::Opened RbdImage::reach(const RbdLibrary& library, const RbdName& name,
                                 std::chrono::nanoseconds limit, Step& step) {
    auto image = std::unique_ptr<RbdImage>{new RbdImage{library, name}};
    if (auto reached = image->reach_cluster(limit); !reached)
        return reached.error();
    step = "find the pool of";
    if (auto opened = image->open_pool(); !opened)
        return opened.error();
    step = "open";
    if (auto opened = image->open_image(); !opened)
        return opened.error();
    if (auto learned = image->learn(); !learned)
        return learned.error();
    return image;
}

RbdImage::Opened RbdImage::take_lock(std::unique_ptr<RbdImage> image) {
    if (auto locked = image->lock(); !locked)
        return locked.error();
    if (auto watching = image->watch(); !watching)
        return watching.error();
    return image;
}

RbdImage::~RbdImage() {
    if (watch_)
        library_.rbd_update_unwatch(image_, *watch_);
    if (image_)
        library_.rbd_close(image_);
    if (pool_)
        library_.rados_ioctx_destroy(pool_);
    if (cluster_)
        library_.rados_shutdown(cluster_);
}

bool RbdImage::close_within(std::shared_ptr<RbdImage> image, std::chrono::nanoseconds limit) {
    return within(limit,
                  [image = std::move(image)]() mutable -> Result<void> {
                      image.reset();
                      return {};
                  })
        .has_value();
}

Result<void> RbdImage::reach_cluster(std::chrono::nanoseconds limit) {
    if (auto readable = check_readable("conf", name_.conf); !readable)
        return readable;
    if (!name_.keyring.empty())
        if (auto readable = check_readable("keyring", name_.keyring); !readable)
            return readable;
    if (const int made = library_.rados_create2(&cluster_, "ceph", name_.client.c_str(), 0);
        made < 0)
        return Error{EINVAL, "client=" + name_.client, "write it as NAME or client.NAME",
                     ErrorKind::usage};
    if (auto configured = configure(limit); !configured)
        return configured;
    if (!names_monitors()) // librados would ask the DNS, which is one more to wait for
        return Error{ENOENT, "conf=" + name_.conf,
                     "the file names no monitor: it needs a line mon host = ADDRESS",
                     ErrorKind::usage};
    return connect();
}

// What the file says holds, but for what a server of a disk promises.
Result<void> RbdImage::configure(std::chrono::nanoseconds limit) {
    if (const int read = library_.rados_conf_read_file(cluster_, name_.conf.c_str()); read < 0)
        return Error{EINVAL, "conf=" + name_.conf, "it is no configuration that Ceph understands",
                     ErrorKind::usage};
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit).count();
    const std::string wait = std::to_string(seconds);
    struct Setting {
        const char* name;
        const char* value;
    };
    const std::array settings{
        Setting{"client_mount_timeout", wait.c_str()},
        // An OSD that does not answer is waited for: an error would be the disk's.
        Setting{"rados_osd_op_timeout", "0"},
        Setting{"rados_mon_op_timeout", "0"},
        // What is answered must be where the next server finds it.
        Setting{"rbd_cache", "false"},
        // What a request has in memory is gone when it is answered, also if it was given up.
        Setting{"rbd_disable_zero_copy_writes", "true"},
        // Errors are returned, and told once.
        Setting{"log_to_stderr", "false"},
        Setting{"err_to_stderr", "false"},
        Setting{"keyring", name_.keyring.c_str()},
    };
    for (const Setting& setting : settings) {
        if (setting.value == name_.keyring.c_str() && name_.keyring.empty())
            continue; // that of the configuration
        if (const int set = library_.rados_conf_set(cluster_, setting.name, setting.value); set < 0)
            return backend_error(set, std::string("set ") + setting.name,
                                 "is this a librados that we know?");
    }
    return {};
}

bool RbdImage::names_monitors() const {
    std::array<char, 4096> hosts{};
    return library_.rados_conf_get(cluster_, "mon_host", hosts.data(), hosts.size()) < 0 ||
           hosts.front() != '\0';
}

Result<void> RbdImage::connect() {
    const int result = library_.rados_connect(cluster_);
    if (result == 0) {
        std::array<char, 64> fsid{};
        if (const int got = library_.rados_cluster_fsid(cluster_, fsid.data(), fsid.size());
            got < 0)
            return backend_error(got, "ask the cluster who it is", "see ceph -s");
        facts_.fsid = fsid.data();
        return {};
    }
    const std::string step = "reach the cluster of " + name_.conf;
    switch (-result) {
    case ENOENT:
        return backend_error(result, step,
                             "there is no key of " + name_.client +
                                 "; give keyring=FILE, or another client=");
    case EACCES:
    case EPERM:
    case EINVAL:
        return backend_error(-EACCES, step,
                             "it refuses " + name_.client +
                                 "; is the keyring what ceph auth get says?");
    case ETIMEDOUT:
        return backend_error(result, step, "none of its monitors answers");
    default:
        return backend_error(result, step, "see ceph -s");
    }
}

Result<void> RbdImage::open_pool() {
    const std::string& pool = name_.pool;
    if (const int found = library_.rados_ioctx_create(cluster_, pool.c_str(), &pool_); found < 0)
        return backend_error(found, "pool=" + pool,
                             found == -ENOENT ? "ceph osd pool ls tells which there are"
                                              : "may " + name_.client + " use it?");
    facts_.pool = library_.rados_ioctx_get_id(pool_);
    if (name_.name_space.empty())
        return {};
    bool exists = false;
    // Who may not ask may still be let in.
    const int asked = library_.rbd_namespace_exists(pool_, name_.name_space.c_str(), &exists);
    if (asked == 0 && !exists)
        return backend_error(-ENOENT, "namespace=" + name_.name_space,
                             "rbd namespace ls " + pool + " tells which there are");
    library_.rados_ioctx_set_namespace(pool_, name_.name_space.c_str());
    return {};
}

Result<void> RbdImage::open_image() {
    const auto open = name_.read_only ? library_.rbd_open_read_only : library_.rbd_open;
    const int opened = open(pool_, name_.image.c_str(), &image_, nullptr);
    if (opened == 0)
        return choose_snapshot();
    image_ = nullptr;
    if (opened == -ENOENT)
        return backend_error(opened, "image=" + name_.image,
                             "rbd ls " + name_.pool +
                                 (name_.name_space.empty() ? "" : "/" + name_.name_space) +
                                 " tells which there are");
    if (opened == -EPERM || opened == -EACCES)
        return backend_error(opened, "open " + name_.text(),
                             name_.client +
                                 " needs the capabilities mon 'profile rbd', osd "
                                 "'profile rbd pool=" +
                                 name_.pool + "'");
    return backend_error(opened, "open " + name_.text(), "does rbd info open it?");
}

Result<void> RbdImage::choose_snapshot() {
    if (name_.snapshot.empty())
        return {};
    std::uint64_t number = 0;
    int result = library_.rbd_snap_set(image_, name_.snapshot.c_str());
    if (result == 0)
        result = library_.rbd_snap_get_id(image_, name_.snapshot.c_str(), &number);
    if (result < 0)
        return backend_error(result, "snapshot=" + name_.snapshot,
                             "rbd snap ls " + name_.pool + "/" + name_.image +
                                 " tells which there are");
    facts_.snapshot = number;
    return {};
}

Result<void> RbdImage::learn() {
    rbd_image_info_t info{};
    std::array<char, 128> id{};
    std::uint64_t features = 0;
    int result = library_.rbd_stat(image_, &info, sizeof info);
    if (result == 0)
        result = library_.rbd_get_features(image_, &features);
    if (result == 0)
        result = library_.rbd_get_stripe_unit(image_, &facts_.stripe_unit);
    if (result == 0)
        result = library_.rbd_get_stripe_count(image_, &facts_.stripe_count);
    // An image of the first format has none; its name is one there.
    if (result == 0 && library_.rbd_get_id(image_, id.data(), id.size()) < 0)
        id.front() = '\0';
    if (result < 0)
        return backend_error(result, "look at " + name_.text(), "does rbd info open it?");
    facts_.id = id.front() ? id.data() : "name " + name_.image;
    facts_.size = info.size;
    facts_.object_size = info.obj_size;
    facts_.can_lock = (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0;
    return learn_settings();
}

// Those that the image and the pool have, too, where they prevail.
Result<void> RbdImage::learn_settings() {
    int count = 0;
    library_.rbd_config_image_list(image_, nullptr, &count);
    std::vector<rbd_config_option_t> options(static_cast<std::size_t>(count));
    if (const int listed = library_.rbd_config_image_list(image_, options.data(), &count);
        listed < 0)
        return backend_error(listed, "look at the settings of " + name_.text(),
                             "does rbd config image ls tell them?");
    std::string persistent = "disabled";
    std::string copies = "true";
    for (const rbd_config_option_t& option : options) {
        const std::string_view name = option.name;
        if (name == "rbd_cache")
            facts_.cached = std::string_view{option.value} == "true";
        else if (name == "rbd_discard_granularity_bytes")
            facts_.discard_granularity = std::strtoull(option.value, nullptr, 10);
        else if (name == "rbd_persistent_cache_mode")
            persistent = option.value;
        else if (name == "rbd_disable_zero_copy_writes")
            copies = option.value;
    }
    library_.rbd_config_image_list_cleanup(options.data(), count);
    facts_.cached = facts_.cached || persistent != "disabled";
    if (copies == "true")
        return {};
    return Error{
        EINVAL, name_.text() + " has rbd_disable_zero_copy_writes=false",
        "data that are written must not be those of a request that is over; take that from "
        "the image and its pool: rbd config image rm, rbd config pool rm",
        ErrorKind::backend};
}

// One that is dead is broken by librbd, and shut out by the cluster, so that nothing of it is
// written later.
Result<void> RbdImage::lock() {
    if (name_.read_only || facts_.snapshot || !facts_.can_lock)
        return {};
    const int result = library_.rbd_lock_acquire(image_, RBD_LOCK_MODE_EXCLUSIVE);
    if (result == 0) {
        facts_.locked = true;
        return {};
    }
    if (result == -EROFS || result == -EBUSY)
        return Error{EBUSY, "lock " + name_.text(),
                     lock_owner() +
                         " has it and does not give it up; rbd status tells who that is"};
    return backend_error(result, "lock " + name_.text(),
                         name_.client +
                             " needs the capabilities mon 'profile rbd', osd 'profile "
                             "rbd pool=" +
                             name_.pool + "'");
}

std::string RbdImage::lock_owner() const {
    rbd_lock_mode_t mode{};
    std::array<char*, 8> owners{};
    std::size_t count = owners.size();
    std::string owner = "another client";
    if (library_.rbd_lock_get_owners(image_, &mode, owners.data(), &count) < 0 || count == 0)
        return owner;
    owner = std::string("the client at ") + owners.front();
    library_.rbd_lock_get_owners_cleanup(owners.data(), count);
    return owner;
}

Result<void> RbdImage::watch() {
    resized_ = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!resized_)
        return Error{errno, "create an eventfd"};
    known_size_ = facts_.size;
    if (facts_.snapshot)
        return {};
    std::uint64_t watch = 0;
    const auto look = [](void* self) { static_cast<RbdImage*>(self)->look_at_size(); };
    if (const int watching = library_.rbd_update_watch(image_, &watch, look, this); watching < 0)
        return backend_error(watching, "watch " + name_.text(), "see ceph -s");
    watch_ = watch;
    look_at_size(); // nobody has watched until now
    return {};
}

// By a thread of librbd, when anything of the image has changed.
void RbdImage::look_at_size() noexcept {
    std::uint64_t now = 0;
    if (library_.rbd_get_size(image_, &now) < 0 || known_size_.exchange(now) == now)
        return;
    ::eventfd_write(resized_.get(), 1);
}

Result<std::uint64_t> RbdImage::size() const {
    std::uint64_t size = 0;
    if (const int got = library_.rbd_get_size(image_, &size); got < 0)
        return backend_error(got, "ask for the size of " + name_.text(), "see ceph -s");
    return size;
}

// Never makes it smaller, whatever it has become meanwhile.
Result<void> RbdImage::grow(std::uint64_t size) const {
    if (const int grown = library_.rbd_resize2(image_, size, false, go_on, nullptr); grown < 0)
        return backend_error(grown, "resize " + name_.text(), "does rbd resize do it?");
    return {};
}

} // namespace ublk::targets
