#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds and runs them all. Products land in build/, the Kubernetes
# control plane (built once, some minutes) in the user's cache folder.
#   tests/run.sh           everything but clang-tidy
#   tests/run.sh SUITE...  some of: lint asan tsan clang release tidy
set -euo pipefail
cd "$(dirname "$0")/.."

# Lets a build in another folder, such as a fresh clone, find what was compiled before.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true

suites=("$@")
((${#suites[@]})) || suites=(lint asan tsan clang release)

phase() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

configure_and_build() { # preset [target...]
  cmake --preset "$1" >/dev/null
  cmake --build "build/$1" ${2:+--target "${@:2}"}
}

phase "packages"
tools/install-packages.sh test

for suite in "${suites[@]}"; do
  case "$suite" in
    lint)
      phase "lint: contract, format, scripts"
      tools/lint-proto.sh
      tools/check-format.sh
      tools/check-includes.py --self-test
      tools/check-includes.py
      ;;
    asan)
      phase "control plane: assets"
      tests/control_plane/control_plane.sh assets
      phase "asan: build"
      configure_and_build asan
      phase "asan: all tests, with AddressSanitizer and UndefinedBehaviorSanitizer"
      ctest --preset asan -LE soak
      ;;
    tsan)
      # ThreadSanitizer can't see into the distribution's gRPC: everything below server/service.
      phase "tsan: build"
      configure_and_build tsan gantry_tests_below_service
      phase "tsan: the tests below server/service, with ThreadSanitizer"
      ctest --preset tsan -L below_service
      ;;
    clang)
      # Only clang checks the thread-safety annotations.
      phase "clang: build"
      configure_and_build clang gantry-server gantryctl
      ;;
    tidy)
      phase "tidy: clang-tidy"
      configure_and_build clang gantry_proto
      tools/check-tidy.sh build/clang
      ;;
    release)
      phase "release: build"
      configure_and_build release gantry-server gantryctl gantry-sim argocd-standin \
        gantry_integration_test gantry_conformance_test gantry_soak_test consumer_service \
        health_benchmark
      phase "release: integration and soak tests on the real control plane"
      ctest --preset release -L 'control_plane|soak'
      phase "release: the demo, all of it"
      deploy/demo/run.sh --once
      phase "release: the examples"
      deploy/demo/run.sh --run examples/check.sh
      ;;
    *)
      echo "unknown suite: $suite (one of: lint asan tsan clang release tidy)" >&2
      exit 2
      ;;
  esac
done
phase "done"
