// SPDX-License-Identifier: GPL-2.0-or-later
// Aligns table cells in columns. Not with libsmartcols: that of Debian 12 never comes back from a
// cell whose text is not UTF-8 when it is told to leave bytes alone, and escapes whatever is not
// ASCII when it is not; names of files are both.
#include "table.h"

#include <algorithm>

#include <fmt/format.h>

namespace ublk::daemon {

static std::vector<std::size_t> column_widths(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t column = 0; column < row.size(); ++column)
            widths[column] = std::max(widths[column], row[column].size());
    }
    return widths;
}

std::string format_table(const std::vector<Row>& rows) {
    const auto widths = column_widths(rows);
    std::string text;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t column = 0; column < row.size(); ++column)
            line += fmt::format("{:<{}}  ", row[column], widths[column]);
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

} // namespace ublk::daemon
