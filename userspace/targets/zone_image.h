// SPDX-License-Identifier: GPL-2.0-or-later
// ZoneImage is a file with zones in it, opened for one server: made if there is none yet, and
// checked before a word of it is believed.
#ifndef UBLK_TARGETS_ZONE_IMAGE_H
#define UBLK_TARGETS_ZONE_IMAGE_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ublk/unique_fd.h>

#include "backing.h"
#include "zones.h"

namespace ublk::targets {

// A file that was made for a disk, until there has been such a disk: nobody else knows of it, so it
// goes with the attempt.
class NewFile {
public:
    NewFile() = default; // there is none
    NewFile(UniqueFd directory, std::string name)
        : directory_(std::move(directory)), name_(std::move(name)) {}
    NewFile(NewFile&&) = default;
    NewFile& operator=(NewFile&&) = default;
    ~NewFile();

    void keep() noexcept { directory_ = UniqueFd{}; }

private:
    UniqueFd directory_{};
    std::string name_{};
};

struct ZoneImage {
    NewFile file{};
    Backing backing{};   // the data
    UniqueFd metadata{}; // the same file, through the page cache
    ZoneLayout layout{};
    std::vector<ZoneRecord> records{};      // as they were committed last
    std::vector<std::uint64_t> sequences{}; // of the blocks of the table
    bool read_only = false;
};

enum class ZoneFileState { missing, empty, used };

// Zones are found in a file that is used, and made in any other.
Result<ZoneFileState> look_at_zone_file(const std::string& path);
Result<ZoneImage> make_zones(const BackingRequest& request, const ZoneLayout& layout);
Result<ZoneImage> find_zones(const BackingRequest& request);

// All of it, or a positive errno.
int write_fully(int fd, std::span<const std::byte> data, std::uint64_t offset);

} // namespace ublk::targets

#endif
