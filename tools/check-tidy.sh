#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy over our own sources. Takes the build folder of a preset, whose
# compile_commands.json it reads; that build must have generated the protos.
set -euo pipefail
cd "$(dirname "$0")/.."
run-clang-tidy -quiet -p "${1:?the build folder}" "$PWD/(server|client)/.*\.cc$" 2>&1 |
  { grep -vE '^(clang-tidy|[0-9]+ warnings generated|Suppressed|Use -header-filter)' || true; }
