#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Generates the stubs of the examples and builds the Go one: build/examples/python, on Python's
# path to run promote.py, and build/examples/promote. Uses protoc, Python 3 with pip and venv, and
# Go 1.19 or newer; their libraries come from PyPI and the Go module proxy.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/build/examples
protos=(proto/gantry/v1/{health,step,promotion_step_service}.proto)

if [[ ! -x $out/venv/bin/python3 || examples/python/requirements.txt -nt $out/venv/installed ]]; then
  python3 -m venv "$out/venv"
  "$out/venv/bin/pip" install --quiet --disable-pip-version-check \
    --requirement examples/python/requirements.txt
  touch "$out/venv/installed"
fi
rm -rf "$out/python"
mkdir -p "$out/python"
"$out/venv/bin/python3" -m grpc_tools.protoc --proto_path=proto --python_out="$out/python" \
  --grpc_python_out="$out/python" "${protos[@]}"

export GOBIN=$out/bin
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.31.0
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.3.0
rm -rf "$out/go"
mkdir -p "$out/go"
cp examples/go/{main.go,go.mod,go.sum} "$out/go/"
PATH=$GOBIN:$PATH protoc --proto_path=proto --go_out="$out/go" --go-grpc_out="$out/go" \
  --go_opt=module=gantry.dev/proto --go-grpc_opt=module=gantry.dev/proto "${protos[@]}"
(cd "$out/go" && go build -o "$out/promote" .)
