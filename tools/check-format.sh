#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when a C++ file is not formatted, or a script has something shellcheck warns of.
# With --fix, formats the C++ files.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files -co --exclude-standard '*.cc' '*.h')
mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
if [[ ${1:-} == --fix ]]; then
  clang-format -i "${sources[@]}"
else
  clang-format --dry-run -Werror "${sources[@]}"
fi
# SC2317: functions that are passed to a polling helper look unreachable to it.
shellcheck -x -e SC2317 "${scripts[@]}"
