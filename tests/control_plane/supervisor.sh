#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The parent of one control plane's servers; started by control_plane.sh, never by
# hand. It starts and kills them as told through the FIFO DIR/control, a word a line,
# and ends them and removes DIR when its owner is gone. When it is itself killed, even
# by SIGKILL, the kernel kills its servers.
#
# Usage: supervisor.sh DIR ASSETS [OWNER_PID]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source-path=SCRIPTDIR source=processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

dir=$1
assets=$2
owner=${3:-}
# Process id and start time of each.
etcd=''
apiserver=''

# Runs a server as a child that dies with this process, with nothing of the caller's
# environment (etcd reads ETCD_*, both read proxy settings). Sets `child`.
spawn() {
  local name=$1
  shift
  setpriv --pdeathsig KILL -- env -i HOME="$dir" PATH=/usr/bin:/bin "$@" >>"$dir/$name.log" 2>&1 &
  write_process_file $! "$dir/$name.pid"
  child=$(read_process_file "$dir/$name.pid")
}

start_etcd() {
  local url
  url=https://127.0.0.1:$(<"$dir/etcd.port")
  spawn etcd "$assets/etcd" \
    --name=default \
    --data-dir="$dir/etcd" \
    --unsafe-no-fsync \
    --quota-backend-bytes=8589934592 \
    --listen-client-urls="$url" \
    --advertise-client-urls="$url" \
    --listen-peer-urls=http://127.0.0.1:0 \
    --client-cert-auth \
    --trusted-ca-file="$dir/ca.crt" \
    --cert-file="$dir/etcd.crt" \
    --key-file="$dir/etcd.key"
  etcd=$child
}

start_apiserver() {
  local flags
  mapfile -t flags <"$dir/apiserver.flags"
  spawn apiserver "$assets/kube-apiserver" \
    --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 \
    --endpoint-reconciler-type=none \
    --secure-port="$(<"$dir/apiserver.port")" \
    --tls-cert-file="$dir/apiserver.crt" \
    --tls-private-key-file="$dir/apiserver.key" \
    --etcd-servers="https://127.0.0.1:$(<"$dir/etcd.port")" \
    --etcd-cafile="$dir/ca.crt" \
    --etcd-certfile="$dir/etcd-client.crt" \
    --etcd-keyfile="$dir/etcd-client.key" \
    --client-ca-file="$dir/ca.crt" \
    --token-auth-file="$dir/tokens.csv" \
    --authorization-mode=RBAC \
    --disable-admission-plugins=ServiceAccount \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$dir/service-account.pub" \
    --service-account-signing-key-file="$dir/service-account.key" \
    --service-cluster-ip-range=10.0.0.0/24 \
    "${flags[@]}"
  apiserver=$child
}

# SIGKILL, because a polite end of the API server waits for open watches, for up to a
# minute; and because outages are not polite.
kill_server() {
  [[ $# -gt 0 ]] || return 0
  ! is_running "$@" || kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

stop_apiserver() {
  # shellcheck disable=SC2086  # nothing, or a process id and its start time
  kill_server $apiserver
  apiserver=''
  rm -f "$dir/apiserver.pid"
}

stop_all() {
  trap '' TERM INT HUP
  stop_apiserver
  # shellcheck disable=SC2086
  kill_server $etcd
  cd /
  # Whoever is still preparing the folder may add a file between two steps of rm.
  local tries
  for tries in 1 2 3 4 5; do
    rm -rf "$dir" && break
    echo "try $tries to remove $dir failed" >&2
  done
  exit 0
}

trap stop_all TERM INT HUP
cd "$dir"
# Both ends, so that reading neither ends nor blocks for want of a writer.
exec {control}<>"$dir/control"
[[ -z $owner ]] || owner=$(process_identity "$owner") || stop_all
write_process_file "$BASHPID" "$dir/supervisor.pid"

begun=''
while true; do
  # shellcheck disable=SC2086  # a process id and its start time
  [[ -z $owner ]] || is_running $owner || stop_all
  [[ -d $dir ]] || stop_all
  # On a busy machine the time may be up in the middle of a word.
  if ! read -r -t 0.2 -u "$control" command; then
    begun+=$command
    continue
  fi
  command=$begun$command
  begun=''
  case $command in
    start-etcd) start_etcd ;;
    start-apiserver) start_apiserver ;;
    stop-apiserver) stop_apiserver ;;
    stop) stop_all ;;
    *) echo "unknown command '$command'" >&2 ;;
  esac
done
