#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the examples against the server in GANTRY_SERVER, in the world of the demo:
#   deploy/demo/run.sh --run examples/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

examples/generate.sh
out=build/examples
echo "== Python"
PYTHONPATH=$out/python "$out/venv/bin/python3" examples/python/promote.py shop/test example-1 \
  examples/step.json
echo "== Go"
"$out/promote" shop/test example-2 examples/step.json
echo "== a step that is refused"
! "$out/promote" payments/prod example-3 examples/step.json || exit 1
