// SPDX-License-Identifier: GPL-2.0-or-later
// Finds what is no UTF-8, and escapes it.
#include "text.h"

#include <cstddef>
#include <cstdint>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ublk::daemon {

namespace {

constexpr std::size_t escape_length = 4;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
    return at < bytes.size() ? static_cast<std::uint8_t>(bytes[at]) : 0;
}

// The range of a character's second byte depends on the first: nothing is encoded longer than it
// need be, is one of UTF-16's surrogates, or lies behind U+10FFFF.
bool may_be_second(std::uint8_t first, std::uint8_t second) {
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return second >= 0x80 && second <= 0xbf;
    }
}

// Bytes of the character that these begin with; 0: they begin with none.
std::size_t length_of_character(std::string_view bytes) {
    const std::uint8_t first = byte_at(bytes, 0);
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4 || !may_be_second(first, byte_at(bytes, 1)))
        return 0;
    const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (std::size_t at = 2; at < length; ++at)
        if ((byte_at(bytes, at) & 0xc0) != 0x80)
            return 0;
    return length;
}

std::optional<std::uint8_t> digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return std::nullopt;
}

// The byte that \xHH at the beginning stands for.
std::optional<std::uint8_t> escaped_byte(std::string_view text) {
    if (text.size() < escape_length || !text.starts_with("\\x"))
        return std::nullopt;
    const auto high = digit(text[2]);
    const auto low = digit(text[3]);
    if (!high || !low)
        return std::nullopt;
    return static_cast<std::uint8_t>(*high << 4 | *low);
}

template <class Json, class Convert> Json convert_strings(Json document, Convert convert) {
    if (document.is_string())
        return convert(document.template get_ref<const std::string&>());
    if (document.is_structured())
        for (auto& element : document)
            element = convert_strings(std::move(element), convert);
    return document;
}

constexpr auto text_of_string = [](const std::string& bytes) { return to_text(bytes); };
constexpr auto bytes_of_string = [](const std::string& text) { return to_bytes(text); };

} // namespace

std::string to_text(std::string_view bytes) {
    std::string text;
    while (!bytes.empty()) {
        std::size_t length = length_of_character(bytes);
        if (length == 0 || escaped_byte(bytes)) {
            text += fmt::format("\\x{:02x}", byte_at(bytes, 0));
            length = 1;
        } else {
            text += bytes.substr(0, length);
        }
        bytes.remove_prefix(length);
    }
    return text;
}

std::string to_bytes(std::string_view text) {
    std::string bytes;
    while (!text.empty()) {
        const auto byte = escaped_byte(text);
        bytes += byte ? static_cast<char>(*byte) : text.front();
        text.remove_prefix(byte ? escape_length : 1);
    }
    return bytes;
}

nlohmann::json document_to_text(nlohmann::json document) {
    return convert_strings(std::move(document), text_of_string);
}
nlohmann::ordered_json document_to_text(nlohmann::ordered_json document) {
    return convert_strings(std::move(document), text_of_string);
}
nlohmann::json document_to_bytes(nlohmann::json document) {
    return convert_strings(std::move(document), bytes_of_string);
}
nlohmann::ordered_json document_to_bytes(nlohmann::ordered_json document) {
    return convert_strings(std::move(document), bytes_of_string);
}

} // namespace ublk::daemon
