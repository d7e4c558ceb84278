// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_PROGRESS_H_
#define GANTRY_CLIENT_GANTRYCTL_PROGRESS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gantry/client/run_step.h"

namespace gantry::gantryctl {

// Takes a terminal back to the start of its line and empties that.
inline constexpr char kClearLine[] = "\r\033[K";

// What is waited for, on one line. Pure.
std::string ProgressLine(const client::RunStepProgress& progress, const std::string& address);

// The time since the start and a line, cut to the width of a terminal. Pure.
std::string TerminalLine(absl::Duration elapsed, const std::string& line, std::size_t width);

// Tells a person who waits what is waited for. Owned by the command that waits, used on its thread.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void Show(absl::Duration elapsed, const std::string& line) = 0;
  // Nothing is shown any more; what follows starts on a line of its own.
  virtual void Finish() = 0;
};

// Writes text to where progress is shown, at once and whole.
using Write = std::function<void(const std::string&)>;

// For logs: a line for each change.
std::unique_ptr<Progress> MakePlainProgress(Write write);

// For terminals: one line that is written over, and whose time goes on by itself. Has a thread that
// is the only one to write until Finish has returned.
std::unique_ptr<Progress> MakeTerminalProgress(Write write, std::function<std::size_t()> width);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_PROGRESS_H_
