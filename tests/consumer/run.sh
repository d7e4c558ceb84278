#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the client library, builds a project with it outside of the tree, and runs that.
#   tests/consumer/run.sh BUILD SERVICE [-DNAME=VALUE...]
# BUILD is the build directory, SERVICE the program that plays the service; the rest is for the
# configuration of the project.
set -euo pipefail

build=$1
service=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/project" "$work/project"

fail() {
  echo "$1" >&2
  exit 1
}

cmake --install "$build" --component client --prefix "$work/prefix" >"$work/install.log"

# Nothing that is published may need what is not.
while IFS= read -r header; do
  while IFS= read -r included; do
    [[ -f $work/prefix/include/$included ]] || fail "$header includes $included, which is not installed"
  done < <(sed -n 's/^#include "\(gantry\/[^"]*\)".*/\1/p' "$header")
done < <(find "$work/prefix/include" -name '*.h')
if grep -rIlF --include="*.cmake" -e "$build" -e "$(cd "$here/../.." && pwd)" "$work/prefix"; then
  fail "these files name a directory that only this machine has"
fi

# Where gRPC's plugin is missing, the package says so.
if cmake -S "$work/project" -B "$work/without" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" \
  -Dgantry-client_GRPC_PLUGIN= "$@" >"$work/without.log" 2>&1; then
  fail "the package is found without grpc_cpp_plugin"
fi
grep -q 'protobuf-compiler-grpc' "$work/without.log" || {
  cat "$work/without.log" >&2
  fail "the package does not say what is missing"
}

cmake -S "$work/project" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" "$@" \
  >"$work/configure.log" 2>&1 || {
  cat "$work/configure.log" >&2
  fail "the project cannot be configured"
}
cmake --build "$work/build" >"$work/build.log" 2>&1 || {
  cat "$work/build.log" >&2
  fail "the project cannot be built"
}

# The service ends when what it reads does.
coproc "$service"
exec {answers}<&"${COPROC[0]}" {until_closed}>&"${COPROC[1]}"
serving=$COPROC_PID
IFS= read -r address <&"$answers"
"$work/build/consumer" "$address" >"$work/out" || fail "the consumer failed with $?"
eval "exec ${COPROC[1]}>&- ${until_closed}>&-"
wait "$serving"
diff -u - "$work/out" <<'END' || fail "the consumer printed something else"
step: STEP_STATUS_SUCCEEDED
prod: HEALTH_STATE_HEALTHY
END

# Nobody serves there any more.
status=0
"$work/build/consumer" "$address" 2>"$work/err" || status=$?
((status == 4)) || fail "without a service the consumer exits with $status; expected 4"
grep -q '^no verdict: UNAVAILABLE' "$work/err" || fail "no UNAVAILABLE in: $(<"$work/err")"
