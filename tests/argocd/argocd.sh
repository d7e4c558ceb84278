#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real Argo CD for tests: application controller, repo server, Redis, git and Helm repositories, on
# loopback ports beside a control plane. See README.md.
# shellcheck disable=SC2317  # because of the exit in the last line

set -euo pipefail
shopt -s inherit_errexit
unset CDPATH

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly repository=$here/../..

usage() {
  cat <<'USAGE'
usage: argocd.sh assets
       argocd.sh run COMMAND [ARG...]

assets  print the folder with the programs, which are built the first time, in some minutes
run     run COMMAND with an Argo CD of its own beside a control plane: its folder in
        GANTRY_TEST_ARGOCD, its address in GANTRY_TEST_ARGOCD_URL, besides what control_plane.sh
        sets. Beside the control plane of GANTRY_TEST_CONTROL_PLANE when that is set; else
        beside one of its own
USAGE
}

note() {
  printf 'argocd: %s\n' "$*" >&2
}

fail() {
  note "$@"
  exit 1
}

# The version of Argo CD that go.mod requires.
argocd_version() {
  sed -nE 's,^\s*github\.com/argoproj/argo-cd/v3 v([^ ]+)$,\1,p' "$here/programs/go.mod"
}

# The name of the cached build tells what it was made from.
recipe_hash() {
  { uname -m; cat "$repository/tools/go.sh" "$here/build_programs.sh" "$here"/programs/*; } | sha256sum | cut -c 1-12
}

has_assets() {
  [[ -x $1/argocd && -x $1/helm && -x $1/kustomize && -d $1/crds ]]
}

# Builds into a folder beside the final one and moves it there when complete, so that the final one,
# if it exists, can be used without a lock.
build_assets() {
  local final=$1 log=$1.log
  mkdir -p "$(dirname "$final")"
  exec 9>"$(dirname "$final")/argocd.lock"
  if ! flock --nonblock 9; then
    note 'waiting for another build of Argo CD to end'
    flock 9
  fi
  if ! has_assets "$final"; then
    # Under the lock nobody else builds: these are of a build that was killed.
    rm -rf "$(dirname "$final")"/argocd-*.building.* "$final"
    building=$(mktemp -d "$final.building.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    note 'building Argo CD, Helm and Kustomize (about five minutes on two cores)'
    if ! "$here/build_programs.sh" "$building" >"$log" 2>&1 9>&-; then
      tail -n 20 "$log" >&2
      fail "could not build Argo CD; the whole log is $log"
    fi
    chmod 755 "$building"
    mv -T "$building" "$final"
    trap - EXIT
  fi
  exec 9>&-
}

assets() {
  local final
  final=${XDG_CACHE_HOME:-${HOME:?}/.cache}/gantry/argocd-$(argocd_version)-$(recipe_hash)
  has_assets "$final" || (build_assets "$final") >&2
  printf '%s\n' "$final"
}

run() {
  [[ $# -gt 0 ]] || fail 'run needs a command'
  local folder
  folder=$(assets)
  if [[ -z ${GANTRY_TEST_CONTROL_PLANE:-} ]]; then
    # The control plane's folder, which Argo CD's is in, is removed whatever happens to this process.
    exec "$repository/tests/control_plane/control_plane.sh" run "$here/argocd.sh" run "$@"
  fi
  exec "$folder/argocd" bed "$GANTRY_TEST_CONTROL_PLANE" "$folder/crds" "$here/manifests" -- "$@"
}

main() {
  local subcommand=${1:-}
  shift || true
  case $subcommand in
    assets) assets ;;
    run) run "$@" ;;
    help | --help | -h) usage ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

# On one line: bash reads on only when asked to, so that editing this file while it runs does no harm.
main "$@"; exit
