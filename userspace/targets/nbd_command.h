// SPDX-License-Identifier: GPL-2.0-or-later
// One command of NBD on its way to the server and back, and lists of them. It lives in the
// coroutine that waits for it, so that nothing is allocated for it.
#ifndef UBLK_TARGETS_NBD_COMMAND_H
#define UBLK_TARGETS_NBD_COMMAND_H

#include <cstddef>
#include <cstdint>
#include <span>

#include <ublk/event.h>
#include <ublk/ring.h>

namespace ublk::targets::nbd {

class Connection;

struct Command {
    enum class Kind : std::uint8_t { read, write, flush, trim, zero };

    Command(Ring ring, Kind what, std::uint64_t from, std::uint64_t bytes, std::uint32_t flag_bits,
            std::span<std::byte> data)
        : kind(what), flags(flag_bits), queue(ring.queue_index()), offset(from), length(bytes),
          memory(data), done(ring) {}
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    const Kind kind;
    const std::uint32_t flags; // LIBNBD_CMD_FLAG_*
    const unsigned queue;      // whose request it is of
    const std::uint64_t offset;
    const std::uint64_t length;
    const std::span<std::byte> memory;

    Event done;
    int result = 0; // 0 or a negative errno, once it is done

    // Guarded by the connection's mutex.
    Connection* connection = nullptr;
    std::uint64_t issued_at = 0; // the connection's time
    Command* previous = nullptr;
    Command* next = nullptr;
};

// Of commands that belong to others; each is in one list at a time.
class CommandList {
public:
    CommandList() = default;
    CommandList(const CommandList&) = delete;
    CommandList& operator=(const CommandList&) = delete;

    bool empty() const noexcept { return first_ == nullptr; }
    Command* first() const noexcept { return first_; }

    void push(Command& command) noexcept {
        command.previous = last_;
        command.next = nullptr;
        (last_ ? last_->next : first_) = &command;
        last_ = &command;
    }
    void remove(Command& command) noexcept {
        (command.previous ? command.previous->next : first_) = command.next;
        (command.next ? command.next->previous : last_) = command.previous;
    }
    // nullptr: there is none.
    Command* pop() noexcept {
        Command* const command = first_;
        if (command)
            remove(*command);
        return command;
    }
    // All of another list, in its order, behind those of this one.
    void append(CommandList& other) noexcept {
        while (Command* const command = other.pop())
            push(*command);
    }
    template <class Condition> bool any_of(Condition&& condition) const {
        for (const Command* command = first_; command; command = command->next)
            if (condition(*command))
                return true;
        return false;
    }
    std::size_t count() const noexcept {
        std::size_t number = 0;
        for (const Command* command = first_; command; command = command->next)
            ++number;
        return number;
    }

private:
    Command* first_ = nullptr;
    Command* last_ = nullptr;
};

} // namespace ublk::targets::nbd

#endif
