// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_TEXT_H_
#define GANTRY_CLIENT_GANTRYCTL_TEXT_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

// Text for people: what may be shown on a terminal, and how wide it is. Pure; any thread.
namespace gantry::gantryctl {

// Where `text` stops being UTF-8, as an offset in bytes; nothing if all of it is.
std::optional<std::size_t> FirstInvalidUtf8(const std::string& text);

// `text` with everything that could steer a terminal (control characters, bytes that are no UTF-8)
// spelled out as \n, \x1b or \u202e. Newlines and tabs are kept when `keep_lines` is set.
std::string Printable(const std::string& text, bool keep_lines = false);

// `text` on one line: Printable, with every run of blanks and line ends as one blank.
std::string OneLine(const std::string& text);

// The number of characters (code points) in `text`, which is UTF-8.
std::size_t Width(const std::string& text);

// `text`, or as much of its beginning as fits into `width` characters with a mark that it was cut.
std::string CutTo(const std::string& text, std::size_t width);

// The escape sequence that a cell of a column is shown with; null: as it is.
using Painter = std::function<const char*(const std::string& column, const std::string& cell)>;

// `text` behind an escape sequence, and what ends it. Null: `text`.
std::string Painted(const std::string& text, const char* sequence);

// Rows under a header, in columns as wide as their widest cell, two blanks apart; each row ends in
// a newline and has no blanks before it. Cells are shown by OneLine, an empty one as "-". Every row
// has as many cells as the header. Without a painter there are no colors.
std::string Table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows,
                  const Painter& painter = nullptr);

// A table of which more rows come later, under columns that only ever get wider. A value for one
// thread.
class GrowingTable {
 public:
  explicit GrowingTable(std::vector<std::string> header, Painter painter = nullptr);

  // These rows, as Table shows them; under the header the first time.
  std::string Add(const std::vector<std::vector<std::string>>& rows);

 private:
  const std::vector<std::string> header_;
  const Painter painter_;
  std::vector<std::size_t> widths_;
  bool headed_ = false;
};

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_TEXT_H_
