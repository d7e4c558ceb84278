#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks the .proto files: buf's lint rules (proto/buf.yaml) and their format.
# Installs the pinned buf first when it is not there or the pin has changed.
# To put the format right: cd proto && npx buf format -w
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../proto"

buf=node_modules/.bin/buf
if [[ ! -x $buf || package-lock.json -nt node_modules/.package-lock.json ]]; then
  if ! command -v npm >/dev/null; then
    echo "lint-proto: npm is needed to install buf and was not found; install Debian's nodejs and npm" >&2
    exit 1
  fi
  # buf's program comes in a package of its own for each platform; no install script is needed.
  npm ci --ignore-scripts --no-audit --no-fund
fi

"$buf" lint
"$buf" format -d --exit-code
