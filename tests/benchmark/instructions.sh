#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Counts the instructions (valgrind's callgrind) of one each of a few things that the program does
# all the time, and of floors: the part of it that has to be. Compares five of them with what
# instructions.json says; fails when one takes over 5 % more.
#   instructions.sh [--write] BENCHMARK
# BENCHMARK is an optimized instruction_benchmark. With --write instructions.json is written anew.
set -euo pipefail

write=false
if [[ ${1:-} == --write ]]; then
  write=true
  shift
fi
if [[ $# != 1 ]]; then
  sed -n '3,7s/^# //p' "$0" >&2
  exit 2
fi
benchmark=$1
stored=$(dirname "$0")/instructions.json
slack=5
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

count() { # NAME TIMES: instructions of one
  local options=(--tool=callgrind --collect-atstart=no --callgrind-out-file=/dev/null
    "--log-file=${work}/log")
  if [[ $1 == promotion ]]; then
    # What the fake API server takes is not the program's. All its calls are made while it counts.
    for request in Get List Create Replace JsonPatch MergePatch; do
      options+=("--toggle-collect=gantry::testing::FakeKubernetes::${request}*base::Context&)")
    done
  fi
  valgrind "${options[@]}" "${benchmark}" "$1" "$2" || {
    cat "${work}/log" >&2
    exit 1
  }
  awk -v times="$2" '/Collected :/ { print int($NF / times); found = 1 }
                     END { exit !found }' "${work}/log"
}

compared=(promotion poll health-event-10 health-event-1000 application-line)
floors=(application-line-floor)
declare -A times=([promotion]=20 [poll]=50 [health-event-10]=50 [health-event-1000]=10
  [application-line]=100 [application-line-floor]=100)

failed=false
measured='{}'
printf '%-26s %12s %12s\n' 'instructions of one' now stored
for name in "${compared[@]}" "${floors[@]}"; do
  now=$(count "${name}" "${times[${name}]}")
  before=$(jq -r --arg name "${name}" '.[$name] // empty' "${stored}" 2>/dev/null || true)
  verdict=''
  if [[ -n ${before} ]]; then
    verdict=$(awk -v now="${now}" -v before="${before}" 'BEGIN {
      printf "%+.1f %%", 100 * (now - before) / before }')
    if ((now * 100 > before * (100 + slack))); then
      verdict+=' MORE'
      failed=true
    elif ((now * 100 < before * (100 - slack))); then
      verdict+=' less: store it with --write'
    fi
  fi
  printf '%-26s %12s %12s  %s\n' "${name}" "${now}" "${before}" "${verdict}"
  if [[ " ${compared[*]} " == *" ${name} "* ]]; then
    measured=$(jq --arg name "${name}" --argjson now "${now}" '.[$name] = $now' <<<"${measured}")
  fi
done
if ${write}; then
  printf '%s\n' "${measured}" >"${stored}"
elif ${failed}; then
  echo "some take over ${slack} % more instructions than ${stored} says" >&2
  exit 1
fi
