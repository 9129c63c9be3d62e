// SPDX-License-Identifier: GPL-2.0-or-later
// What we use of librbd and librados, which are loaded when somebody asks for the target `rbd`:
// with all that they need they would cost every other server, and every call of ublkd, 20 MB and 50
// ms.
#ifndef UBLK_TARGETS_RBD_LIBRARY_H
#define UBLK_TARGETS_RBD_LIBRARY_H

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <ublk/result.h>

namespace ublk::targets {

// Each name becomes a member and a string.
#define UBLK_RBD_FUNCTIONS(USE)                                                                    \
    USE(rados_create2)                                                                             \
    USE(rados_conf_read_file)                                                                      \
    USE(rados_conf_set)                                                                            \
    USE(rados_conf_get)                                                                            \
    USE(rados_connect)                                                                             \
    USE(rados_shutdown)                                                                            \
    USE(rados_cluster_fsid)                                                                        \
    USE(rados_ioctx_create)                                                                        \
    USE(rados_ioctx_destroy)                                                                       \
    USE(rados_ioctx_get_id)                                                                        \
    USE(rados_ioctx_set_namespace)                                                                 \
    USE(rbd_namespace_exists)                                                                      \
    USE(rbd_open)                                                                                  \
    USE(rbd_open_read_only)                                                                        \
    USE(rbd_close)                                                                                 \
    USE(rbd_snap_set)                                                                              \
    USE(rbd_snap_get_id)                                                                           \
    USE(rbd_stat)                                                                                  \
    USE(rbd_get_id)                                                                                \
    USE(rbd_get_size)                                                                              \
    USE(rbd_get_features)                                                                          \
    USE(rbd_get_stripe_unit)                                                                       \
    USE(rbd_get_stripe_count)                                                                      \
    USE(rbd_config_image_list)                                                                     \
    USE(rbd_config_image_list_cleanup)                                                             \
    USE(rbd_lock_acquire)                                                                          \
    USE(rbd_lock_get_owners)                                                                       \
    USE(rbd_lock_get_owners_cleanup)                                                               \
    USE(rbd_resize2)                                                                               \
    USE(rbd_update_watch)                                                                          \
    USE(rbd_update_unwatch)                                                                        \
    USE(rbd_aio_create_completion)                                                                 \
    USE(rbd_aio_get_return_value)                                                                  \
    USE(rbd_aio_release)                                                                           \
    USE(rbd_aio_read)                                                                              \
    USE(rbd_aio_write)                                                                             \
    USE(rbd_aio_discard)                                                                           \
    USE(rbd_aio_write_zeroes)                                                                      \
    USE(rbd_aio_flush)

struct RbdLibrary {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it is what is declared
#define UBLK_DECLARE(name) decltype(&::name) name = nullptr;
    UBLK_RBD_FUNCTIONS(UBLK_DECLARE)
#undef UBLK_DECLARE

    // The process's, which has it for good. By any thread.
    static Result<const RbdLibrary*> load();
};

} // namespace ublk::targets

#endif
