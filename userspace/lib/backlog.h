// SPDX-License-Identifier: MIT
// Backlog is a list that allocates nothing: first in, first out, linked through the elements' own
// `next`.
#ifndef UBLK_LIB_BACKLOG_H
#define UBLK_LIB_BACKLOG_H

#include <utility>

namespace ublk {

template <class Element, Element* Element::*next> class Backlog {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    Element* first() const noexcept { return first_; }
    void push(Element& element) noexcept {
        element.*next = nullptr;
        (first_ ? last_->*next : first_) = &element;
        last_ = &element;
    }
    void pop() noexcept { first_ = first_->*next; }
    Backlog take_all() noexcept { return std::exchange(*this, Backlog{}); }

private:
    Element* first_ = nullptr;
    Element* last_ = nullptr;
};

} // namespace ublk

#endif
