#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds kube-apiserver and etcd from the Go modules beside this script, whose go.mod
# name the versions. Called by control_plane.sh, which decides whether a build is needed
# and keeps two of them from running at once.
#
# Usage: build_assets.sh oldest|newest OUT LOG
#   OUT  an existing folder; at the end it holds kube-apiserver and etcd
#   LOG  the file that receives the output of the tools
#
# Progress goes to stderr. What is downloaded and compiled on the way is in Go's own
# caches.
# shellcheck disable=SC2317  # because of the exit in the last line

set -euo pipefail
shopt -s inherit_errexit
unset CDPATH

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly go=$here/../../tools/go.sh

phase() {
  printf 'control plane: %s\n' "$*" >&2
}

fail() {
  printf 'control plane: %s\n' "$*" >&2
  exit 1
}

# build FOLDER PACKAGE OUT [LINKER OPTION...]: a program of the module in a folder.
build() {
  local folder=$1 package=$2 out=$3
  shift 3
  (cd "$here/$folder" && GOTMPDIR=$work "$go" build -ldflags "-s -w $*" -o "$out" "$package") >>"$log" 2>&1
}

# module_version FOLDER MODULE: the version that the go.mod in a folder names.
module_version() {
  awk -v module="$2" '$1 == "require" { sub("require ", "") } $1 == module && $2 ~ /^v/ { print $2; exit }' \
    "$here/$1/go.mod"
}

# expect_version VERSION COMMAND...
expect_version() {
  local expected=$1 found
  shift
  found=$("$@")
  [[ $found == *"$expected"* ]] || fail "expected '$expected' of '$*', found '$found'"
}

main() {
  [[ $# -eq 3 ]] || fail 'usage: build_assets.sh oldest|newest OUT LOG'
  local release=$1 out=$2
  log=$3
  work=$out/work
  mkdir "$work"
  [[ -r $here/kubernetes/$release/go.mod ]] ||
    fail "expected 'oldest' or 'newest' Kubernetes, found '$release'"

  local kubernetes etcd major minor version=k8s.io/component-base/version
  kubernetes=$(module_version "kubernetes/$release" k8s.io/kubernetes)
  etcd=$(module_version etcd go.etcd.io/etcd/server/v3)
  IFS=. read -r major minor _ <<<"${kubernetes#v}"

  phase "compiling etcd $etcd"
  build etcd go.etcd.io/etcd/server/v3 "$out/etcd"
  expect_version "etcd Version: ${etcd#v}" "$out/etcd" --version
  phase "compiling kube-apiserver $kubernetes (about three minutes on two cores)"
  build "kubernetes/$release" k8s.io/kubernetes/cmd/kube-apiserver "$out/kube-apiserver" \
    "-X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor"
  expect_version "Kubernetes $kubernetes" "$out/kube-apiserver" --version
  rm -rf "$work"
  phase "built kube-apiserver $kubernetes and etcd $etcd"
}

# On one line: bash reads on only when asked to, so that editing this file while it runs does no harm.
main "$@"; exit
