// SPDX-License-Identifier: GPL-2.0-or-later
// How processes of ours speak with each other: one JSON document per packet on a local socket.
#ifndef UBLKD_PACKET_H
#define UBLKD_PACKET_H

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>
#include <ublk/result.h>
#include <ublk/unique_fd.h>

#include "process.h"

namespace ublk::daemon {

// False when the other side is gone.
bool send_packet(const UniqueFd& socket, std::string_view text);

// Fails with ETIMEDOUT, or with EPIPE when the other side is gone.
Result<std::string> receive_packet(const UniqueFd& socket, Deadline deadline);

// An error whole, as unpack_error() gives it back; that throws what nlohmann throws.
nlohmann::json pack_error(const Error& error);
Error unpack_error(const nlohmann::json& packed);

// On one line. Strings are bytes, as file names are, and come out as they went in. Decoding throws
// what nlohmann throws.
std::string encode_packet(nlohmann::json document);
nlohmann::json decode_packet(const std::string& packet);

} // namespace ublk::daemon

#endif
