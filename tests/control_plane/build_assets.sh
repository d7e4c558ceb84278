#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds kube-apiserver from Debian's source package, and unpacks Debian's etcd
# beside it. Called by control_plane.sh, which decides whether a build is needed
# and keeps two of them from running at once.
#
# Usage: build_assets.sh OUT LOG
#   OUT  an existing folder on a disk with 3 GB to spare; at the end it holds
#        kube-apiserver and etcd and nothing else
#   LOG  the file that receives the output of the tools
#
# Progress goes to stderr. Apart from the packages of BUILD_PACKAGES nothing is
# installed: no service is started, and the system's apt sources stay as they are.
#
# The cached result is named after the lines of this file that are not comments:
# a change to any of them means a new build.
# shellcheck disable=SC2317  # because of the exit in the last line

set -euo pipefail
shopt -s inherit_errexit

readonly KUBERNETES_VERSION=1.20.2
readonly GO_BIN=/usr/lib/go-1.19/bin
readonly REFLECT2_VERSION=1.0.2
readonly BUILD_PACKAGES=(golang-1.19-go dpkg-dev rsync jq)

phase() {
  printf 'control plane: %s\n' "$*" >&2
}

fail() {
  printf 'control plane: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "'$*' needs root or sudo; install these packages yourself: ${BUILD_PACKAGES[*]}"
  fi
}

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

install_build_packages() {
  local package missing=()
  for package in "${BUILD_PACKAGES[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0

  phase "installing ${missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300
    install --yes --no-install-recommends "${missing[@]}")
  as_root "${install[@]}" >>"$log" 2>&1 && return 0
  as_root apt-get -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1
  as_root "${install[@]}" >>"$log" 2>&1
}

# The mirror that this machine already uses for Debian itself.
mirror_uri() {
  local release=$1 uri
  # shellcheck disable=SC2016  # apt expands them
  uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' 2>/dev/null |
    awk -v release="$release" '$2 == release && $3 == "main" { print $1; exit }') || true
  printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

# apt-get with sources, lists and cache of its own, none of the system's.
private_apt_get() {
  apt-get \
    -o Dir::Etc::sourcelist="$work/apt/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State::lists="$work/apt/lists" \
    -o Dir::Cache="$work/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none \
    "$@"
}

fetch_sources() {
  local release=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed_by=''
  [[ ! -e $keyring ]] || signed_by=" signed-by=$keyring"
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/download"
  local mirror
  mirror=$(mirror_uri "$release")
  cat >"$work/apt/sources.list" <<SOURCES
deb [target=Packages$signed_by] $mirror $release main
deb-src [target=Sources$signed_by] $mirror $release main
SOURCES

  phase "downloading the sources of Kubernetes, etcd and reflect2 from $mirror"
  cd "$work/download"
  {
    private_apt_get update
    private_apt_get --download-only source kubernetes
    private_apt_get download etcd-server golang-github-modern-go-reflect2-dev
  } >>"$log" 2>&1

  # Debian's version of it reads 1.20.5+really1.20.2.
  local found=(kubernetes_*"really$KUBERNETES_VERSION"-*.dsc)
  [[ -e ${found[0]} ]] ||
    fail "expected the source of Kubernetes $KUBERNETES_VERSION from Debian's $release, found $(echo kubernetes_*.dsc)"
  dpkg-source --extract "${found[0]}" "$tree" >>"$log" 2>&1
  dpkg-deb --extract etcd-server_*.deb "$work/etcd"
  dpkg-deb --extract golang-github-modern-go-reflect2-dev_*.deb "$work/reflect2"
}

# Replaces the one occurrence of a text in a file of the tree.
replace_once() {
  local file=$tree/$1 old=$2 new=$3 content rest
  [[ -f $file ]] || fail "cannot patch $1: the source of Kubernetes has no such file"
  content=$(<"$file")
  rest=${content#*"$old"}
  [[ $rest != "$content" ]] || fail "cannot patch $1: it does not contain '$old'"
  [[ ${rest#*"$old"} == "$rest" ]] || fail "cannot patch $1: it contains '$old' more than once"
  printf '%s\n' "${content/"$old"/"$new"}" >"$file"
}

patch_sources() {
  phase 'patching the source of Kubernetes for Go 1.19'

  # The vendored reflect2 reads the runtime's map iterator with the layout that it
  # had before Go 1.18; the server would crash at the first custom resource.
  local vendored=vendor/github.com/modern-go/reflect2
  local packaged=$work/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2
  grep -q '^# github.com/modern-go/reflect2 v1\.0\.1' "$tree/vendor/modules.txt" ||
    fail 'cannot replace reflect2: expected version 1.0.1 in vendor/modules.txt'
  compgen -G "$work/download/golang-github-modern-go-reflect2-dev_$REFLECT2_VERSION-*.deb" >/dev/null ||
    fail "cannot replace reflect2: expected Debian's package of version $REFLECT2_VERSION"
  [[ -d $tree/$vendored && -f $packaged/reflect2.go ]] ||
    fail "cannot replace reflect2: $vendored or its packaged successor is missing"
  rm -r "${tree:?}/$vendored"
  cp -r "$packaged" "$tree/$vendored"

  # DeepEqual on two reflect.Values takes them for equal with this Go whenever the
  # value is its type's zero: "", 0 and false of a custom resource would be refused
  # as null.
  replace_once vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go \
    'if data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)) {' \
    'if data == nil {'
}

build_server() {
  phase 'compiling kube-apiserver (about five minutes on two cores)'
  # make, not go build: only the former runs the code generators. An empty
  # environment keeps out the caller's GOROOT, GOPATH, GOFLAGS and GO111MODULE, and
  # a home of its own the caller's ~/.config/go/env.
  mkdir -p "$work/home"
  cd "$tree"
  env -i \
    PATH="$GO_BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME="$work/home" LC_ALL=C.UTF-8 TMPDIR="$work/tmp" \
    GOPATH="$work/gopath" GOCACHE="$work/gocache" CGO_ENABLED=0 \
    KUBE_GIT_VERSION="v$KUBERNETES_VERSION" \
    make WHAT=cmd/kube-apiserver >>"$log" 2>&1
  [[ -x _output/bin/kube-apiserver ]] || fail 'the build ended well, but made no _output/bin/kube-apiserver'
  local version
  version=$(_output/bin/kube-apiserver --version)
  [[ $version == "Kubernetes v$KUBERNETES_VERSION" ]] ||
    fail "expected the built server to be 'Kubernetes v$KUBERNETES_VERSION', it says '$version'"
}

main() {
  [[ $# -eq 2 ]] || fail 'usage: build_assets.sh OUT LOG'
  out=$1
  log=$2
  local id='' codename=''
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || { id=$(. /etc/os-release && echo "${ID:-}"); codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}"); }
  [[ $id == debian && $codename == bookworm ]] ||
    fail "building the Kubernetes API server needs Debian 12 (bookworm), this is '$id $codename': set KUBEBUILDER_ASSETS to a folder with kube-apiserver and etcd"

  work=$out/work
  tree=$work/gopath/src/k8s.io/kubernetes
  mkdir -p "$work/tmp" "$(dirname "$tree")"

  install_build_packages
  fetch_sources "$codename"
  patch_sources
  build_server
  cp -L "$tree/_output/bin/kube-apiserver" "$out/kube-apiserver"
  cp "$work/etcd/usr/bin/etcd" "$out/etcd"
  cd "$out"
  chmod -R u+w "$work"
  rm -rf "$work"
  phase "built Kubernetes v$KUBERNETES_VERSION"
}

# On one line: bash reads on only when asked to, so that editing this file while it runs does no harm.
main "$@"; exit
