#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that Gantry is built with, its tests included ("build"), and those
# that its checks need besides ("test"). Does nothing when all are there.
#   tools/install-packages.sh build|test
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libabsl-dev libspdlog-dev libcurl4-openssl-dev libssl-dev libsimdjson-dev nlohmann-json3-dev
  libvalijson-dev libyaml-cpp-dev libcli11-dev libcpp-httplib-dev
  prometheus-cpp-dev
  libgtest-dev libgmock-dev curl openssl
)
test_packages=(
  "${build_packages[@]}"
  clang clang-format clang-tidy shellcheck npm prometheus zsh fish golang-go python3-venv
)

case "${1:-}" in
  build) packages=("${build_packages[@]}") ;;
  test) packages=("${test_packages[@]}") ;;
  *)
    echo "usage: tools/install-packages.sh build|test" >&2
    exit 2
    ;;
esac

installed() {
  dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'
}

missing=()
for package in "${packages[@]}"; do
  # Those of languages may be here from elsewhere.
  case "$package" in
    npm) ! command -v npm >/dev/null || continue ;;
    golang-go) ! command -v go >/dev/null || continue ;;
    python3-venv) ! python3 -c 'import ensurepip, venv' 2>/dev/null || continue ;;
  esac
  installed "$package" || missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "installing: ${missing[*]}" >&2
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
