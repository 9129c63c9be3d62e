// SPDX-License-Identifier: MIT
// Answer is what a target says of a request: an error, or how much was done.
#ifndef UBLK_ANSWER_H
#define UBLK_ANSWER_H

#include <cstdint>

namespace ublk {

class Answer {
public:
    // A negative errno; or the bytes of a read, write or zone_append, and 0 or more for anything
    // else. The result of a Ring operation is one just as it is.
    constexpr Answer(int result) noexcept : result_(result) {}
    // error: a positive errno.
    static constexpr Answer failed(int error) noexcept { return Answer{-error}; }

    constexpr int result() const noexcept { return result_; }
    constexpr bool is_error() const noexcept { return result_ < 0; }
    // Of a zone_append: where its data are, in bytes from the beginning of the device.
    constexpr std::uint64_t appended_at() const noexcept { return appended_at_; }
    constexpr Answer at(std::uint64_t offset) const noexcept {
        Answer answer{result_};
        answer.appended_at_ = offset;
        return answer;
    }

    static constexpr std::uint64_t nowhere = UINT64_MAX;

private:
    int result_;
    std::uint64_t appended_at_ = nowhere;
};

} // namespace ublk

#endif
