#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows a promotion: installs what is missing, builds, starts a private Kubernetes API server with
# two Applications and a stand-in for Argo CD, starts gantry-server, promotes both Applications, and
# stays up for you to try things until Ctrl-C. Never touches a real cluster or ~/.kube.
#   deploy/demo/run.sh [--once]     --once: end after the promotion; the exit code says how it went
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-}" in
  "" | --once) ;;
  *)
    echo "usage: deploy/demo/run.sh [--once]" >&2
    exit 2
    ;;
esac

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[[ -t 1 && -z ${NO_COLOR:-} ]] || say() { printf '\n%s\n' "$*"; }

export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true
say "1. Packages and build (the first time takes some minutes)"
tools/install-packages.sh build
cmake --preset release >/dev/null
cmake --build build/release --target gantry-server gantryctl argocd-standin
bin=$PWD/build/release/bin

say "2. A private Kubernetes API server (built from source the first time)"
dir=$(mktemp -d)
pids=()
finish() {
  trap - EXIT
  ((${#pids[@]})) && kill "${pids[@]}" 2>/dev/null
  wait
  tests/control_plane/control_plane.sh stop "$dir/plane" 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tests/control_plane/control_plane.sh start "$dir/plane" --owner $$
admin=$dir/plane/admin.kubeconfig
token=$(sed -n 's/^ *token: *//p' "$admin")
url=$(<"$dir/plane/url")
api() { # path [curl argument...]
  curl --silent --show-error --fail --cacert "$dir/plane/ca.crt" \
    --header "Authorization: Bearer $token" "$url$1" "${@:2}"
}
applications=/apis/argoproj.io/v1alpha1/namespaces/argocd/applications
api "$applications" --header 'Content-Type: application/yaml' \
  --data-binary @deploy/demo/application-web.yaml >/dev/null
api "$applications" --header 'Content-Type: application/yaml' \
  --data-binary @deploy/demo/application-api.yaml >/dev/null

say "3. gantry-server, and a stand-in for Argo CD that takes 3 seconds for a sync"
"$bin/argocd-standin" --kubeconfig "$admin" --sync-seconds 3 2>"$dir/argocd.log" &
pids+=($!)
"$bin/gantry-server" --kubeconfig "$dir/plane/gantry.kubeconfig" --listen 127.0.0.1:0 \
  --admin-listen 127.0.0.1:0 --port-file "$dir/ports" --log-format text 2>"$dir/gantry.log" &
pids+=($!)
for ((i = 0; i < 100; i++)); do
  [[ -s $dir/ports ]] && break
  kill -0 "${pids[1]}" 2>/dev/null || break
  read -rt 0.1 <> <(:) || true
done
[[ -s $dir/ports ]] || {
  echo "gantry-server did not start:" >&2
  cat "$dir/gantry.log" >&2
  exit 1
}
listen=$(sed -n 's/.*"listen": *"\([^"]*\)".*/\1/p' "$dir/ports")
admin_listen=$(sed -n 's/.*"admin": *"\([^"]*\)".*/\1/p' "$dir/ports")
export GANTRY_SERVER=$listen
echo "gRPC at $listen, probes at http://$admin_listen/readyz"

step=(--project shop --stage prod --step update-apps -f deploy/demo/step.yaml)
say "4. What would be written (--dry-run)"
"$bin/gantryctl" run-step "${step[@]}" --promotion release-1 --dry-run

say "5. The promotion"
status=0
"$bin/gantryctl" run-step "${step[@]}" --promotion release-1 --timeout 1m || status=$?

say "6. Once more: nothing is done twice, the answer comes from the record"
"$bin/gantryctl" run-step "${step[@]}" --promotion release-1 --timeout 1m || status=$?

say "7. How healthy the Stage is, once Argo CD has looked at what it deployed"
"$bin/gantryctl" health shop/prod || status=$?

[[ ${1:-} != --once ]] || exit "$status"

say "It stays up until Ctrl-C. In another terminal, from $PWD:"
cat <<MSG
  export GANTRY_SERVER=$listen
  build/release/bin/gantryctl run-step --project shop --stage prod --promotion release-2 -f deploy/demo/step.yaml
  build/release/bin/gantryctl run-step --project shop --stage prod --promotion release-1 -f deploy/demo/step.yaml   # superseded
  build/release/bin/gantryctl run-step --project shop --stage test --promotion release-1 -f deploy/demo/step.yaml   # not authorized
  build/release/bin/gantryctl health --watch
  curl -s http://$admin_listen/metrics | grep ^gantry_
  kubectl --kubeconfig $admin get applications,stagehealths --all-namespaces
  tail -f $dir/gantry.log
MSG
wait
