// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the functions by their names.
#include "rbd_library.h"

#include <cerrno>
#include <string>

#include <dlfcn.h>

namespace ublk::targets {

namespace {

constexpr const char* file_name = "librbd.so.1"; // it brings librados along

Result<RbdLibrary> find_functions() {
    void* const library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* const reason = ::dlerror();
        return Error{ENOENT, std::string("load ") + file_name,
                     std::string("install librbd1; ") + (reason ? reason : "")};
    }
    RbdLibrary found;
    const char* missing = nullptr;
#define UBLK_FIND(name)                                                                            \
    found.name = reinterpret_cast<decltype(found.name)>(::dlsym(library, #name));                  \
    if (!found.name)                                                                               \
        missing = #name;
    UBLK_RBD_FUNCTIONS(UBLK_FIND)
#undef UBLK_FIND
    if (missing)
        return Error{ENOSYS, std::string("load ") + file_name,
                     std::string("it lacks ") + missing + "; it takes librbd of Ceph 16 or newer"};
    return found;
}

} // namespace

Result<const RbdLibrary*> RbdLibrary::load() {
    static const Result<RbdLibrary> library = find_functions();
    if (!library)
        return library.error();
    return &*library;
}

} // namespace ublk::targets
