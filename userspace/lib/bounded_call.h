// SPDX-License-Identifier: MIT
// BoundedCall asks a target for what may block, for no longer than whoever asks can wait: a backing
// may lie on a file system that is frozen, or whose server does not answer, and a device must stay
// in command meanwhile.
#ifndef UBLK_LIB_BOUNDED_CALL_H
#define UBLK_LIB_BOUNDED_CALL_H

#include <functional>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include <ublk/control.h>
#include <ublk/result.h>

namespace ublk {

// By one thread.
template <class Value> class BoundedCall {
public:
    struct Failures {
        Error busy;      // the one before has not ended yet
        Error no_thread; // gets the errno of what failed
        Error late;
    };

    // `function` owns what it needs: it goes on when the time is over, and its result is lost then.
    Result<Value> call(std::function<Result<Value>()> function, Milliseconds limit,
                       const Failures& failures) {
        if (result_.valid() && result_.wait_for(Milliseconds{0}) != std::future_status::ready)
            return failures.busy;
        std::promise<Result<Value>> promise;
        result_ = promise.get_future();
        try {
            std::thread{[function = std::move(function), promise = std::move(promise)]() mutable {
                promise.set_value(without_exceptions(function));
            }}.detach();
        } catch (const std::system_error& error) {
            result_ = {};
            Error failure = failures.no_thread;
            failure.code = error.code().value();
            return failure;
        }
        if (result_.wait_for(limit) != std::future_status::ready)
            return failures.late;
        return result_.get();
    }

private:
    std::future<Result<Value>> result_{};
};

} // namespace ublk

#endif
