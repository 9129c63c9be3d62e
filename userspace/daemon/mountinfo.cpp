// SPDX-License-Identifier: GPL-2.0-or-later
// Has libmount parse mountinfo; lines that are none are left out. The library gets text, never a
// path of a mount to look at: the file system there may be dead.
#include "mountinfo.h"

#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <libmount/libmount.h>
#include <sys/sysmacros.h>

namespace ublk::daemon {

namespace {

struct Release {
    void operator()(std::FILE* stream) const { std::fclose(stream); }
    void operator()(libmnt_table* table) const { ::mnt_unref_table(table); }
    void operator()(libmnt_iter* iterator) const { ::mnt_free_iter(iterator); }
};

std::string text_or_empty(const char* text) { return text ? text : ""; }

int skip_line(libmnt_table*, const char*, int) { return 1; }

} // namespace

std::vector<Mount> parse_mountinfo(std::string_view text) {
    std::vector<Mount> mounts;
    if (text.empty())
        return mounts;
    std::string copy{text}; // fmemopen() wants it writable, though it is only read
    const std::unique_ptr<std::FILE, Release> stream{::fmemopen(copy.data(), copy.size(), "r")};
    const std::unique_ptr<libmnt_table, Release> table{::mnt_new_table()};
    const std::unique_ptr<libmnt_iter, Release> iterator{::mnt_new_iter(MNT_ITER_FORWARD)};
    if (!stream || !table || !iterator)
        return mounts;
    ::mnt_table_set_parser_errcb(table.get(), skip_line);
    if (::mnt_table_parse_stream(table.get(), stream.get(), "mountinfo") < 0)
        return mounts;
    libmnt_fs* mount = nullptr;
    while (::mnt_table_next_fs(table.get(), iterator.get(), &mount) == 0) {
        const dev_t device = ::mnt_fs_get_devno(mount);
        mounts.push_back({fmt::format("{}:{}", major(device), minor(device)),
                          text_or_empty(::mnt_fs_get_target(mount)),
                          text_or_empty(::mnt_fs_get_source(mount))});
    }
    return mounts;
}

} // namespace ublk::daemon
