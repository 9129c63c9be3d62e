// SPDX-License-Identifier: MIT
// The ways that data can take.
#include "data_path.h"

#include <utility>

#include "buffers.h"

namespace ublk {

namespace {

// The driver copies to the tag's buffer before a write arrives, and from it when a read is
// committed.
class DriverCopy final : public DataPath {
public:
    explicit DriverCopy(CopyBuffers buffers) : buffers_(std::move(buffers)) {}

    void offer(const detail::Request& request, ublksrv_io_cmd& payload) const noexcept override {
        payload.addr = reinterpret_cast<std::uintptr_t>(buffers_.of(request.tag));
    }
    Move receive(detail::Request& request) noexcept override {
        request.buffer = buffers_.of(request.tag);
        return Move::none;
    }
    Move send(detail::Request&) noexcept override { return Move::none; }

private:
    CopyBuffers buffers_;
};

} // namespace

Result<std::unique_ptr<DataPath>> make_data_path(const DataPath::Parts& parts) {
    Result<CopyBuffers> buffers = CopyBuffers::create(parts.depth, parts.max_io_bytes);
    if (!buffers)
        return buffers.error();
    return std::unique_ptr<DataPath>{std::make_unique<DriverCopy>(std::move(*buffers))};
}

} // namespace ublk
