// SPDX-License-Identifier: MIT
// Composite is a target that stands on several others: what is true of it as far as it follows from
// what is true of those, by one rule each.
#ifndef UBLK_COMPOSITE_H
#define UBLK_COMPOSITE_H

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ublk/target.h>

namespace ublk {

// What all of these can do, as far as each of them sees the same requests: the smallest size and
// the shortest limits, the largest blocks, what all can do and what one cannot keep. Each is valid,
// and there is one at least. EINVAL, naming the child, if no disk can be so.
Result<Geometry> combine(std::span<const Geometry> parts);

// An author overrides geometry() and serve(), and whatever else is otherwise. Errors of a part
// begin with "child N: ".
class Composite : public Target {
public:
    // Of parts that are nullptr the disk has to do without: those are missing.
    explicit Composite(std::vector<std::unique_ptr<Target>> parts);

    // Its own, and those of requests to all parts at a time, each a member of a TaskGroup.
    unsigned frames() const override;
    // Memory, if one part wants it.
    DataAccess data_access() const override;
    // That of the part which keeps the least.
    Persistence persistence() const override;
    // Of all, in their order. One that is missing has one use of nothing, so that those behind it
    // keep their places if each has one.
    std::vector<BackingUse> backings() const override;
    // Nothing, unless all parts that say something say the same.
    std::optional<bool> is_direct() const override;
    std::vector<std::string> remarks() const override;
    void register_files(FileTable& files) override;
    // One after the other. If one fails, those that have begun are ended.
    Async<Result<void>> begin(Ring ring) override;
    Async<void> end(Ring ring) override;
    // Of all, whatever happens; the first error.
    Result<void> finish() override;
    // "N/NAME" is the command NAME of part N.
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override;
    // The layers of part N are called "N/LAYER".
    void measure(Metrics& metrics) const override;
    std::vector<std::string> paths() const override;

protected:
    std::size_t count() const noexcept { return parts_.size(); }
    bool has_part(std::size_t index) const noexcept { return parts_[index] != nullptr; }
    Target& part(std::size_t index) const noexcept { return *parts_[index]; }
    static Error in_part(std::size_t index, Error error);

private:
    std::vector<std::unique_ptr<Target>> parts_;
};

} // namespace ublk

#endif
