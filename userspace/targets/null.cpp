// SPDX-License-Identifier: GPL-2.0-or-later
// The `null` target stores nothing: it shows what the path through driver and library costs by
// itself.
#include "null.h"

#include <cerrno>

namespace ublk::targets {

namespace {

class Null final : public Target {
public:
    explicit Null(const Geometry& geometry) : geometry_(geometry) {}

    Geometry geometry() const override { return geometry_; }
    // Another server forgets as well as this one.
    Persistence persistence() const override { return Persistence::backing; }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (!size)
            return Error{EINVAL, "size=auto", "null has no backing; give a size", ErrorKind::usage};
        return *size;
    }

    Async<Answer> serve(Ring, Request request) override { return request.done(); }

private:
    Geometry geometry_;
};

constexpr OptionInfo options[] = {
    {.name = "size", .type = OptionType::size, .default_value = "1G", .help = "size of the device"},
};

Result<std::unique_ptr<Target>> create(const OptionValues& values, const GeometryRequest& request) {
    Geometry geometry;
    geometry.size_bytes = values.size("size");
    geometry.max_io_bytes = 1024U * 1024;
    geometry.discard.max_bytes = 1U << 30;
    geometry.max_write_zeroes_bytes = 1U << 30;
    Result<Geometry> wanted = apply(request, geometry);
    if (!wanted)
        return wanted.error();
    return std::unique_ptr<Target>{new Null{*wanted}};
}

} // namespace

const TargetInfo null_info{
    .name = "null",
    .summary = "stores nothing; reads return arbitrary data",
    .options = options,
    .create = create,
};

} // namespace ublk::targets
