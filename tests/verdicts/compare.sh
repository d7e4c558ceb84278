#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares what two builds of gantry_verdicts do in the same random cases:
#   compare.sh BEFORE AFTER [SEED [CASES]]
# BEFORE and AFTER are programs, or what one of them has printed (a file that ends in .jsonl or
# .jsonl.gz; SEED and CASES are then those it was made with). Exits with 1 when a case differs.
set -euo pipefail

if [[ $# -lt 2 || $# -gt 4 ]]; then
  sed -n '3,6s/^# //p' "$0" >&2
  exit 2
fi
seed=${3:-1}
cases=${4:-20000}
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

verdicts_of() {
  case $1 in
    *.jsonl.gz) gzip -dc "$1" ;;
    *.jsonl) cat "$1" ;;
    *) "$1" --seed "${seed}" --cases "${cases}" ;;
  esac
}
verdicts_of "$1" > "${work}/before"
verdicts_of "$2" > "${work}/after"

# Each line is a case: one that differs has its number where the lines are put side by side.
paste -d '\n' "${work}/before" "${work}/after" |
  awk 'NR % 2 { before = $0; next }
       before != $0 { print (NR / 2) - 1 }' > "${work}/differing"
lines=$(wc -l < "${work}/after")
if [[ ! -s ${work}/differing && $(wc -l < "${work}/before") == "${lines}" && ${lines} -gt 0 ]]; then
  echo "${lines} cases, no difference"
  exit 0
fi
echo "$(wc -l < "${work}/differing") of ${lines} cases differ: $(head -20 "${work}/differing" | xargs)"
echo "one of them: PROGRAM --seed ${seed} --only CASE, of both programs, side by side"
exit 1
