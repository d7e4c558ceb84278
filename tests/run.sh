#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds and runs them all. Products land in build/; the programs of
# Kubernetes and Argo CD, built once in some minutes, in the user's cache folder.
#   tests/run.sh           lint, tidy, asan, tsan, release and argocd: what CI runs
#   tests/run.sh SUITE...  some of those, or
#     unit                 for the edit loop: the optimized build, and the tests without an API server
#     newest               what runs on a control plane, on the newest Kubernetes, not the oldest
set -euo pipefail
cd "$(dirname "$0")/.."

# Lets a build in another folder, such as a fresh clone, find what was compiled before.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true

suites=("$@")
((${#suites[@]})) || suites=(lint tidy asan tsan release argocd)

# The user and system time of this script and of what it has waited for is told with each phase.
# What the control plane takes is not in it: its servers belong to no phase.
phase() {
  # Not in a subshell, which would have times of its own.
  times >"$work/times"
  local cpu
  cpu=$(tr 'ms' '  ' <"$work/times" |
    awk '{ sum += 60 * ($1 + $3) + $2 + $4 } END { printf "%d", sum }')
  printf '\n== %s (%s s, %s s of CPU)\n' "$1" "$SECONDS" "$cpu"
}

configure_and_build() { # preset [target...]
  cmake --preset "$1" >/dev/null
  cmake --build "build/$1" ${2:+--target "${@:2}"}
}

# One control plane for all suites that want one. It ends with this script.
control_plane() {
  [[ -z ${GANTRY_TEST_CONTROL_PLANE:-} ]] || return 0
  phase "control plane: programs, start"
  local folder=$work/control-plane-${GANTRY_KUBERNETES:-oldest}
  tests/control_plane/control_plane.sh start "$folder" --owner $$
  export GANTRY_TEST_CONTROL_PLANE=$folder
}

# The drivers of the suites that start servers as processes are built once, with the sanitizers.
readonly drivers=(gantry_integration_test gantry_conformance_test gantry_argocd_test
  gantry_soak_test health_benchmark)
# beside_release CTEST_OPTION...: such suites on the optimized programs.
beside_release() {
  local bin=$PWD/build/release/bin
  GANTRY_SERVER=$bin/gantry-server ARGOCD_STANDIN=$bin/argocd-standin ctest --preset asan "$@"
}

build_release() {
  phase "release: build"
  configure_and_build release gantry-server gantryctl gantry-sim argocd-standin consumer_service
}

argocd() {
  phase "Argo CD: programs"
  tests/argocd/argocd.sh assets
  phase "argocd: the server beside a real Argo CD"
  # On a control plane of its own: a real Argo CD would work on the Applications of other tests.
  GANTRY_TEST_CONTROL_PLANE='' beside_release -L argocd
}

run_suite() {
  case "$1" in
    lint)
      phase "lint: contract, format, scripts, includes, lengths"
      tools/lint-proto.sh
      tools/check-format.sh
      tools/check-includes.py --self-test
      tools/check-includes.py
      tools/check-lengths.py --self-test
      tools/check-lengths.py
      ;;
    tidy)
      phase "tidy: clang-tidy"
      configure_and_build tsan gantry_proto
      tools/check-tidy.sh build/tsan
      ;;
    asan)
      phase "asan: build"
      configure_and_build asan
      control_plane
      phase "asan: all tests, with AddressSanitizer and UndefinedBehaviorSanitizer"
      ctest --preset asan -LE 'soak|argocd'
      ;;
    tsan)
      # ThreadSanitizer can't see into the distribution's gRPC: it runs what is below server/service.
      # The programs are built for clang's thread-safety analysis.
      phase "tsan: build"
      configure_and_build tsan gantry_tests_below_service gantry-server gantryctl
      phase "tsan: the tests below server/service, with ThreadSanitizer"
      ctest --preset tsan -L below_service
      ;;
    release)
      build_release
      phase "asan: build of the drivers"
      configure_and_build asan "${drivers[@]}"
      phase "release: instructions"
      configure_and_build release instruction_benchmark
      tests/benchmark/instructions.sh build/release/bin/instruction_benchmark
      control_plane
      phase "release: integration and soak tests on the real control plane"
      beside_release -L 'control_plane|soak'
      phase "release: the demo, all of it"
      deploy/demo/run.sh --once
      phase "release: the examples"
      deploy/demo/run.sh --run examples/check.sh
      ;;
    argocd)
      build_release
      phase "asan: build of the drivers"
      configure_and_build asan "${drivers[@]}"
      argocd
      ;;
    unit)
      build_release
      phase "unit: build"
      configure_and_build release gantry_unit_tests
      phase "unit: the tests that need no API server"
      ctest --preset release -L unit -j "$(nproc)"
      ;;
    newest)
      export GANTRY_KUBERNETES=newest
      unset GANTRY_TEST_CONTROL_PLANE
      build_release
      phase "asan: build of the drivers"
      configure_and_build asan "${drivers[@]}"
      control_plane
      phase "newest: integration and conformance tests"
      beside_release -L control_plane
      argocd
      ;;
    *)
      echo "unknown suite: $1 (one of: lint tidy asan tsan release argocd unit newest)" >&2
      exit 2
      ;;
  esac
}

work=$(mktemp -d)
end() {
  local folder
  for folder in "$work"/control-plane-*; do
    tests/control_plane/control_plane.sh stop "$folder"
  done
  rm -rf "$work"
}
trap end EXIT
phase "packages"
tools/install-packages.sh test
for suite in "${suites[@]}"; do
  run_suite "$suite"
done
phase "done"
