#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs `go` the way all Go programs of the tests are built: with one toolchain, whichever Go this
# machine has, without cgo and with no setting of the caller's that would change the result. So they
# share what they compile in Go's cache. The modules are verified by the go.sum of each.
#   tools/go.sh ARG...    go ARG..., in the current folder; installs a Go where none can be used
#   tools/go.sh --which   print the path of a Go that can be used; fails when there is none
set -euo pipefail

# A Go since 1.21 fetches this one through the module proxy, verified by the checksum database.
readonly toolchain=go1.27.3
readonly oldest_minor=21

which_go() {
  local go version
  for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/bin/go; do
    [[ -x $go ]] || continue
    # In / no go.mod demands another version.
    version=$(cd / && GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || continue
    if [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= oldest_minor)); then
      printf '%s\n' "$go"
      return
    fi
  done
  return 1
}

if [[ ${1:-} == --which ]]; then
  which_go
  exit
fi

if ! go=$(which_go); then
  "$(dirname "${BASH_SOURCE[0]}")/install-packages.sh" go
  go=$(which_go) || {
    echo "tools/go.sh: expected Go 1.$oldest_minor or newer in PATH after installing golang-go," \
      "found $(go version 2>&1 || true)" >&2
    exit 1
  }
fi
exec env -u GOROOT -u GOOS -u GOARCH -u GOAMD64 -u GO111MODULE -u GOEXPERIMENT -u GODEBUG \
  GOTOOLCHAIN=$toolchain GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false' \
  CGO_ENABLED=0 "$go" "$@"
