#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that Gantry is built with, its tests included ("build"), and those
# that its checks need besides ("test"); or a Go alone ("go"). Does nothing when all are there.
#   tools/install-packages.sh build|test|go
set -euo pipefail

build_packages=(
  g++ lld cmake ninja-build ccache pkg-config
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libabsl-dev libspdlog-dev libcurl4-openssl-dev libssl-dev libsimdjson-dev nlohmann-json3-dev
  libvalijson-dev libyaml-cpp-dev libcli11-dev libcpp-httplib-dev
  prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev curl openssl
)
test_packages=(
  "${build_packages[@]}"
  clang libclang-rt-14-dev clang-format clang-tidy shellcheck npm prometheus redis-tools zsh fish
  golang-go python3-venv git jq ca-certificates valgrind
)

case "${1:-}" in
  build) packages=("${build_packages[@]}") ;;
  test) packages=("${test_packages[@]}") ;;
  go) packages=(golang-go ca-certificates) ;;
  *)
    echo "usage: tools/install-packages.sh build|test|go" >&2
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
    # The installed one may be too old.
    golang-go) "$(dirname "$0")/go.sh" --which >/dev/null || missing+=("$package"); continue ;;
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
install() { # [apt option...] package...
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "$@" >/dev/null
}

# Debian 12's own Go, 1.19, can't fetch the toolchain that the tests' Go programs need; that of its
# backports can. apt gets sources and lists for this once: those of the system stay as they are.
install_go_from_backports() {
  local codename mirror apt options
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # The mirror that this machine uses for Debian itself.
  # shellcheck disable=SC2016  # apt expands them
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' |
    awk -v release="$codename" '$2 == release && $3 == "main" { print $1; exit }')
  apt=$(mktemp -d)
  mkdir -p "$apt/lists/partial"
  chmod 755 "$apt"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "${mirror:-http://deb.debian.org/debian}" "$codename" \
    "${mirror:-http://deb.debian.org/debian}" "$codename-backports" >"$apt/sources.list"
  options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$apt/lists")
  "${as_root[@]}" apt-get "${options[@]}" update -qq
  install "${options[@]}" --target-release "$codename-backports" golang-go
  "${as_root[@]}" rm -r "$apt"
}

"${as_root[@]}" apt-get update -qq
others=()
for package in "${missing[@]}"; do
  if [[ $package == golang-go ]] && dpkg --compare-versions \
    "$(apt-cache policy golang-go | awk '$1 == "Candidate:" { print $2 }')" lt-nl 2:1.21~; then
    install_go_from_backports
  else
    others+=("$package")
  fi
done
((${#others[@]} == 0)) || install "${others[@]}"
