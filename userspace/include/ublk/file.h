// SPDX-License-Identifier: MIT
// File names an open file to the ring: by its descriptor, or by its place in the list of files that
// is registered with every ring of the device, which saves the kernel a look-up per operation.
#ifndef UBLK_FILE_H
#define UBLK_FILE_H

#include <span>
#include <vector>

namespace ublk {

class File {
public:
    File(int descriptor) noexcept : number_(descriptor) {}
    static File registered(int index) noexcept {
        File file{index};
        file.registered_ = true;
        return file;
    }
    int number() const noexcept { return number_; }
    bool is_registered() const noexcept { return registered_; }

private:
    int number_;
    bool registered_ = false;
};

// The files of a whole stack of targets. Each target adds its own and keeps the File that it gets:
// it is the same for all queues, and nobody else's.
class FileTable {
public:
    // The descriptor belongs to the caller and must stay open for the life of the target.
    File add(int descriptor) {
        descriptors_.push_back(descriptor);
        return File::registered(static_cast<int>(descriptors_.size()) - 1);
    }

    // For the library: by place. The first is the library's own.
    std::span<const int> descriptors() const noexcept { return descriptors_; }

private:
    std::vector<int> descriptors_{-1};
};

} // namespace ublk

#endif
