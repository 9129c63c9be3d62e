// SPDX-License-Identifier: GPL-2.0-or-later
// Left-aligned text columns for people; programs use --json.
#ifndef UBLKD_TABLE_H
#define UBLKD_TABLE_H

#include <string>
#include <vector>

namespace ublk::daemon {

using Row = std::vector<std::string>;

// Columns are as wide as their widest cell; no trailing blanks; one line per row.
std::string format_table(const std::vector<Row>& rows);

} // namespace ublk::daemon

#endif
