// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OPTIONS_FLAGS_H_
#define GANTRY_SERVER_OPTIONS_FLAGS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/options/options.h"

namespace gantry::options {

// Takes a flag's text into the options. Returns what was expected when the text is not that.
using Setter = std::function<std::optional<std::string>(const std::string&, Options&)>;

// What the command line takes, what the help says about it, and where it goes. A value that never
// changes.
struct Flag {
  std::string name;  // without the dashes
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string default_words;  // for the help, where there is no default value
  Setter set;

  std::string Option() const;
  // The environment variable in its place.
  std::string Variable() const;
};

// All of them, in the order of the help.
const std::vector<Flag>& Flags();

}  // namespace gantry::options

#endif  // GANTRY_SERVER_OPTIONS_FLAGS_H_
