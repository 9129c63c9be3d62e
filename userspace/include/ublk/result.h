// SPDX-License-Identifier: MIT
// Result<T> is how every call of the library that can fail for an expected reason returns: a value,
// or an Error that says which step failed and what to do about it.
#ifndef UBLK_RESULT_H
#define UBLK_RESULT_H

#include <cassert>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace ublk {

// Whom an error concerns, where the errno alone cannot tell.
enum class ErrorKind {
    system,  // the errno says it all
    usage,   // an option or a number given by the user makes no sense
    backend, // what the target stores its data in is unfit
    driver,  // the ublk driver is missing or too old
};

struct Error {
    int code;           // a positive errno
    std::string step;   // what was being done, such as "open /img.raw"
    std::string hint{}; // what the user can do about it; may be empty
    ErrorKind kind = ErrorKind::system;

    // One line without a newline: "STEP: STRERROR (HINT)".
    std::string message() const {
        const char* reason = ::strerrordesc_np(code);
        std::string text = step + ": " + (reason ? reason : "error " + std::to_string(code));
        return hint.empty() ? text : text + " (" + hint + ")";
    }
};

template <class T> class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    // Only for a result that is ok().
    T& operator*() & { return value(); }
    const T& operator*() const& { return const_cast<Result*>(this)->value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &const_cast<Result*>(this)->value(); }

    // Only for a result that is not ok().
    const Error& error() const {
        assert(!ok() && "error() of a result that holds a value");
        return *std::get_if<1>(&state_);
    }

private:
    T& value() {
        assert(ok() && "value of a result that holds an error");
        return *std::get_if<0>(&state_);
    }

    std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : state_(std::move(error)) {}

    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    const Error& error() const {
        assert(!ok() && "error() of a result that holds a value");
        return *std::get_if<1>(&state_);
    }

private:
    std::variant<std::monostate, Error> state_;
};

namespace detail {

Error thrown_error() noexcept; // of the exception that is being handled

} // namespace detail

// What `work` returns, a Result, or an Error made of what it throws.
template <class Work> auto without_exceptions(Work&& work) noexcept -> decltype(work()) {
    try {
        return work();
    } catch (...) {
        return detail::thrown_error();
    }
}

} // namespace ublk

#endif
