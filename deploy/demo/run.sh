#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows what Gantry does, on nothing but this machine: installs what is missing, builds, starts a
# simulated Kubernetes API server with a small world and a stand-in for Argo CD, starts
# gantry-server, promotes a Stage, and stays up for you to try things until Ctrl-C. Never touches a
# real cluster or ~/.kube.
#   deploy/demo/run.sh                 the demo
#   deploy/demo/run.sh --once          ends by itself; the exit code says whether all of it went well
#   deploy/demo/run.sh --run COMMAND   runs COMMAND in place of the promotion, with the server in
#                                      GANTRY_SERVER, and ends with its exit code
set -euo pipefail
cd "$(dirname "$0")/../.."
# What a user of Gantry may have set is about other servers and other clusters.
unset "${!GANTRY_@}"

mode=${1:-stay}
case "$mode" in
  stay) ;;
  --once) (($# == 1)) || mode=usage ;;
  --run) (($# > 1)) || mode=usage ;;
  *) mode=usage ;;
esac
if [[ $mode == usage ]]; then
  sed -n '/^#   /s/^#   //p' "$0" >&2
  exit 2
fi

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[[ -t 1 && -z ${NO_COLOR:-} ]] || say() { printf '\n%s\n' "$*"; }
# Shows a command as it can be typed, and runs it.
show() {
  printf '$ %s\n' "${*/#"$bin/"/}"
  "$@"
}

export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true
say "Packages and build (the first time takes some minutes)"
tools/install-packages.sh build
cmake --preset release >/dev/null
cmake --build build/release --target gantry-server gantryctl gantry-sim argocd-standin
bin=$PWD/build/release/bin
# In microseconds; some locales write it with a comma.
begun=${EPOCHREALTIME//[.,]/}

dir=
pids=()
finish() {
  trap - EXIT
  trap '' INT TERM HUP
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  wait
  [[ -z $dir ]] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
dir=$(mktemp -d)

# start NAME FILE COMMAND...: starts it, its log in NAME.log, and waits until it has written FILE.
start() {
  local name=$1 file=$2 i
  shift 2
  "$@" >"$dir/$name.log" 2>&1 &
  pids+=($!)
  for ((i = 0; i < 200; i++)); do
    [[ ! -s $file ]] || return 0
    kill -0 "${pids[-1]}" 2>/dev/null || break
    read -rt 0.05 <> <(:) || true
  done
  echo "$name did not start:" >&2
  cat "$dir/$name.log" >&2
  exit 1
}

say "A simulated cluster: 3 projects, 8 Stages, 20 Applications"
start simulator "$dir/cluster/url" "$bin/gantry-sim" serve --dir "$dir/cluster" \
  --manifest deploy/demo/world.yaml
url=$(<"$dir/cluster/url")
# What curl needs to call the simulator as its administrator.
printf 'fail\nnoproxy = "*"\ncacert = "%s"\nheader = "Authorization: Bearer %s"\n' "$dir/cluster/ca.crt" \
  "$(sed -n 's/^ *token: *//p' "$dir/cluster/admin.kubeconfig")" >"$dir/curl"
start argocd "$dir/argocd.log" "$bin/argocd-standin" --kubeconfig "$dir/cluster/admin.kubeconfig" \
  --sync-duration 2s --refresh-delay 200ms --health-duration 1s --log-format text
start gantry "$dir/ports" "$bin/gantry-server" --kubeconfig "$dir/cluster/gantry.kubeconfig" \
  --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --port-file "$dir/ports" --log-format text \
  --drain-timeout 1s
listen=$(sed -n 's/.*"listen": *"\([^"]*\)".*/\1/p' "$dir/ports")
admin_listen=$(sed -n 's/.*"admin": *"\([^"]*\)".*/\1/p' "$dir/ports")
export GANTRY_SERVER=$listen
echo "gantry-server: gRPC at $listen, probes and metrics at http://$admin_listen"

# What others than Gantry know of the Stages.
"$bin/gantryctl" report promotion --project platform --stage staging --promotion charts-42 \
  --phase running
"$bin/gantryctl" report indicator --project platform --stage sandbox --name in-use \
  --state not-applicable --message "switched off over the weekend"

if [[ $mode == --run ]]; then
  shift
  status=0
  "$@" || status=$?
  exit "$status"
fi

# The stand-in for Argo CD may still be looking at the Applications.
failed=()
for stage in shop/test=healthy shop/staging=healthy shop/prod=healthy payments/test=progressing \
  payments/prod=unhealthy platform/staging=unknown platform/prod=healthy \
  platform/sandbox=not-applicable; do
  "$bin/gantryctl" health "${stage%=*}" --wait-for "${stage#*=}" --timeout 20s >/dev/null ||
    failed+=("$stage")
done

step=(--project shop --stage prod --promotion release-1.5.0 -f deploy/demo/step.yaml)
say "How healthy the Stages are"
show "$bin/gantryctl" health
took=$((${EPOCHREALTIME//[.,]/} - begun))
printf '(up %d.%d s after the build)\n' $((took / 1000000)) $((took / 100000 % 10))

say "The promotion of shop/prod to release-1.5.0"
show "$bin/gantryctl" run-step "${step[@]}" --timeout 1m || failed+=("the promotion")

say "How healthy the Stage is then, once Argo CD has looked at what it deployed"
show "$bin/gantryctl" health shop/prod --wait-for healthy --timeout 30s ||
  failed+=("the health of shop/prod")
say "The Stages of the project afterwards"
show "$bin/gantryctl" health shop

# Each line is: the exit code that it has, what it shows, the command.
gantryctl=build/release/bin/gantryctl
web=apis/argoproj.io/v1alpha1/namespaces/argocd/applications/web-prod
try=(
  "0|Why a Stage is UNKNOWN:
   |$gantryctl health platform/staging"
  "1|An older promotion cannot come back:
   |$gantryctl run-step --project shop --stage prod --promotion release-1.4.0 -f deploy/demo/step.yaml"
  "1|A Stage that the Applications do not authorize changes nothing:
   |$gantryctl run-step --project payments --stage prod --promotion p1 -f deploy/demo/step.yaml"
  "0|A smoke test fails; in two minutes the Stage is UNKNOWN unless it reports again:
   |$gantryctl report indicator --project shop --stage prod --name smoke-test --state unhealthy --message '3 of 40 failed' --ttl 2m"
  "0|An Application degrades; see how its Stage follows ($gantryctl health --watch):
   |curl -sS -K $dir/curl -X PATCH -H 'Content-Type: application/merge-patch+json' -d '{\"metadata\":{\"annotations\":{\"standin.gantry.dev/degrade\":\"out of memory\"}}}' -o /dev/null $url/$web"
)

if [[ $mode == --once ]]; then
  say "Things to try, tried"
  for entry in "${try[@]}"; do
    IFS='|' read -rd '' expected what command <<<"$entry" || true
    status=0
    output=$(bash -c "$command" 2>&1) || status=$?
    ((status == expected)) || {
      printf '%s\n$ %s\n%s\n' "$what" "$command" "$output" >&2
      failed+=("exit code $status, not $expected")
    }
  done
  "$bin/gantryctl" health shop/prod --wait-for unhealthy --timeout 30s >/dev/null ||
    failed+=("shop/prod does not follow what was done to it")
  ((${#failed[@]} == 0)) || {
    printf 'the demo did not do what it should: %s\n' "${failed[@]}" >&2
    exit 1
  }
  echo "all as it should be"
  exit 0
fi

say "It stays up until Ctrl-C. Five things to try, in another terminal, from $PWD:"
printf '\n  export GANTRY_SERVER=%s\n' "$listen"
for entry in "${try[@]}"; do
  IFS='|' read -rd '' _ what command <<<"$entry" || true
  printf '\n  # %s  %s' "$what" "${command%$'\n'}"
done
cat <<MSG


  gRPC          $listen (plaintext, with reflection)
  probes        http://$admin_listen/readyz?verbose
  metrics       http://$admin_listen/metrics
  Kubernetes    $url (kubectl --kubeconfig $dir/cluster/admin.kubeconfig)
  logs          $dir/*.log
MSG
wait
