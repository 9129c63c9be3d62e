// SPDX-License-Identifier: MIT
// Exceptions of the standard library as errors.
#include <ublk/result.h>

#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

namespace ublk::detail {

namespace {

// Short enough to need no memory, of which there may be none.
Error out_of_memory() noexcept { return Error{ENOMEM, "get memory"}; }

} // namespace

Error thrown_error() noexcept {
    try {
        try {
            throw;
        } catch (const std::bad_alloc&) {
            return out_of_memory();
        } catch (const std::system_error& error) {
            return Error{error.code().value(), error.what()};
        } catch (const std::exception& error) {
            return Error{EPROTO, error.what()};
        }
    } catch (...) {
        return out_of_memory();
    }
}

} // namespace ublk::detail
