#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes deploy/demo/demo.png, the picture in the README, from what the demo prints in a terminal.
# Uses Debian's aha and chromium, and what the demo needs.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A terminal of a fixed width, so that colors and tables are as a person sees them.
TERM=xterm-256color script --quiet --return --command \
  'stty cols 150; deploy/demo/run.sh --once' "$work/typescript" >/dev/null
{
  echo '<html><style>body { margin: 0; background: #0d1117; } pre { margin: 0; padding: 24px;'
  echo 'font: 15px/1.35 "DejaVu Sans Mono", monospace; color: #e6edf3; }</style><pre>'
  # From the first table to the end of the promotion.
  # A progress line is written over itself; of those that say the same the first is shown.
  sed -e '/^Script /d' -e 's/\r$//' -e 's/\r\x1b\[K/\n/g' -e 's/\r/\n/g' "$work/typescript" |
    sed -n '/How healthy the Stages are/,/Things to try/p' | sed '$d' |
    awk '/^[0-9]+s  / { said = substr($0, index($0, "  "), 30); if (seen[said]++) next } { print }' |
    aha --black --no-header
  echo '</pre></html>'
} >"$work/demo.html"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1640,800 \
  --screenshot="$PWD/deploy/demo/demo.png" "file://$work/demo.html" 2>/dev/null
echo "deploy/demo/demo.png"
