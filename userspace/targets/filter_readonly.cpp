// SPDX-License-Identifier: GPL-2.0-or-later
// The `readonly` filter: nothing that changes the disk gets through, whatever it stands on.
#include <cerrno>

#include <ublk/filter.h>

namespace ublk::targets {

namespace {

class ReadOnly final : public Filter {
public:
    using Filter::Filter;

    Geometry geometry() const override {
        Geometry geometry = Filter::geometry();
        geometry.read_only = true;
        geometry.volatile_cache = false;
        geometry.fua = false;
        geometry.discard = {};
        geometry.max_write_zeroes_bytes = 0;
        return geometry;
    }

    // It may follow what it stands on, but does not make that larger.
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (size)
            return Error{EROFS, "resize", "the readonly filter lets nothing be changed; use auto",
                         ErrorKind::usage};
        return Filter::resize(size);
    }

    // The kernel and the file systems on a disk have to know whether it can be written, from its
    // beginning on.
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "readonly")
            return Filter::command(name, words);
        if (!words.empty())
            return Error{EINVAL, "readonly",
                         "it has no settings, and is there for the life of the disk: del it, and "
                         "add it without this filter",
                         ErrorKind::usage};
        return Reply{};
    }

    Async<Answer> serve(Ring ring, Request request) override {
        if (!changes_nothing(request.op))
            return -EROFS;
        return next().serve(ring, request);
    }
};

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues&, const GeometryRequest&) {
    return std::unique_ptr<Target>{std::make_unique<ReadOnly>(std::move(inner.front()))};
}

} // namespace

extern const TargetInfo readonly_info;
const TargetInfo readonly_info{.name = "readonly",
                               .summary = "nothing changes the disk",
                               .options = {},
                               .wrap = wrap,
                               .least = 1,
                               .most = 1};

} // namespace ublk::targets
