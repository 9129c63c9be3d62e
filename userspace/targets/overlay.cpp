// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the layers in mountinfo, the only place where the kernel names them.
#include "overlay.h"

#include <algorithm>
#include <array>
#include <climits>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// Mountinfo writes blanks and backslashes as \040. Options have a backslash before a colon or comma
// of a name, too, which is itself written as \134.
std::string decode(std::string_view text) {
    std::string name;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            name += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0'));
            i += 3;
        } else {
            name += text[i];
        }
    }
    return name;
}

constexpr char no_separator = '\0'; // no name has one

// Splits at `separator` unless a backslash is before it.
std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size())
            parts.back() += text[++i];
        else if (text[i] == separator)
            parts.emplace_back();
        else
            parts.back() += text[i];
    }
    return parts;
}

struct Mount {
    std::string root;
    std::string point;
    std::string type;
    std::string options; // still with the backslashes of the file system
};

Mount parse(const std::string& line) {
    std::istringstream words(line);
    std::string ignored;
    Mount mount;
    words >> ignored >> ignored >> ignored >> mount.root >> mount.point;
    while (words >> ignored && ignored != "-") {
    }
    words >> mount.type >> ignored >> mount.options;
    mount.root = decode(mount.root);
    mount.point = decode(mount.point);
    mount.options = decode(mount.options);
    return mount;
}

bool lies_below(const std::string& path, const std::string& directory) {
    return directory == "/" || path.starts_with(directory + "/");
}

// The upper layer comes last in the options, and first here.
std::vector<std::string> layers_of(const std::string& options) {
    std::vector<std::string> layers;
    // Commas first, without losing the backslashes before colons.
    std::string option;
    const auto take = [&] {
        const auto equals = std::min(option.find('='), option.size());
        const std::string key = option.substr(0, equals);
        const std::string value = option.substr(std::min(equals + 1, option.size()));
        if (key == "upperdir")
            layers.insert(layers.begin(), split(value, no_separator).front());
        else if (key == "lowerdir" || key == "lowerdir+")
            for (const std::string& layer : split(value, ':'))
                if (!layer.empty())
                    layers.push_back(layer);
        option.clear();
    };
    for (std::size_t i = 0; i < options.size(); ++i) {
        if (options[i] == ',') {
            take();
            continue;
        }
        option += options[i];
        if (options[i] == '\\' && i + 1 < options.size())
            option += options[++i];
    }
    take();
    return layers;
}

} // namespace

std::vector<std::string> names_in_layers(std::string_view mountinfo, const std::string& path) {
    std::istringstream lines{std::string{mountinfo}};
    Mount found;
    // The last of those that are nearest lies on top.
    for (std::string line; std::getline(lines, line);) {
        Mount mount = parse(line);
        if (lies_below(path, mount.point) && mount.point.size() >= found.point.size())
            found = std::move(mount);
    }
    std::vector<std::string> names;
    if (found.type != "overlay")
        return names;
    std::string inside = path.substr(found.point == "/" ? 0 : found.point.size());
    if (found.root != "/")
        inside = found.root + inside;
    for (const std::string& layer : layers_of(found.options))
        names.push_back(layer + inside);
    return names;
}

UniqueFd open_in_layer(int descriptor, const std::string& proc) {
    struct statfs system {};
    if (::fstatfs(descriptor, &system) < 0 ||
        static_cast<unsigned long>(system.f_type) != OVERLAYFS_SUPER_MAGIC)
        return UniqueFd{};
    std::array<char, PATH_MAX> path{};
    const std::string link = proc + "/self/fd/" + std::to_string(descriptor);
    if (::readlink(link.c_str(), path.data(), path.size() - 1) < 0)
        return UniqueFd{};
    std::ifstream file(proc + "/self/mountinfo");
    std::stringstream mountinfo;
    mountinfo << file.rdbuf();
    for (const std::string& name : names_in_layers(mountinfo.str(), path.data())) {
        UniqueFd layer{::open(name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
        if (layer)
            return layer;
    }
    return UniqueFd{};
}

} // namespace ublk::targets
