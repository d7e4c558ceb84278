#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real Kubernetes control plane (kube-apiserver and etcd) for tests, on loopback
# ports, with users and the custom resources that Gantry works with. See README.md.
# shellcheck disable=SC2317  # because of the exit in the last line

set -euo pipefail
shopt -s inherit_errexit
unset CDPATH

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly repository=$here/../..
readonly release=${GANTRY_KUBERNETES:-oldest}
readonly gantry_namespace=gantry-system
readonly gantry_user=system:serviceaccount:$gantry_namespace:gantry
readonly marker=.gantry-control-plane
# Seconds. A start takes a few of them, and minutes on a machine that is busy with other work; a
# server that died is not waited for.
readonly start_timeout=600
readonly stop_timeout=60

# shellcheck source-path=SCRIPTDIR source=processes.sh
source "$here/processes.sh"

usage() {
  cat <<'USAGE'
usage: control_plane.sh assets
       control_plane.sh start DIR [--owner PID] [--apiserver-flag FLAG]...
       control_plane.sh stop DIR
       control_plane.sh stop-apiserver DIR
       control_plane.sh start-apiserver DIR
       control_plane.sh compact DIR
       control_plane.sh run [--own] [--apiserver-flag FLAG]... COMMAND [ARG...]

assets           print the folder with kube-apiserver and etcd: $KUBEBUILDER_ASSETS,
                 or one that is built the first time, in a few minutes
start            start a control plane whose files are in DIR (new or empty); it is
                 stopped, and DIR removed, when the process PID ends; the API server
                 gets each FLAG, such as --feature-gates=WatchList=false, as well
stop             stop it and remove DIR
stop-apiserver   kill the API server; etcd and the data stay
start-apiserver  start it again on the same port
compact          make etcd forget all revisions but the current one
run              run COMMAND with a control plane: its DIR in GANTRY_TEST_CONTROL_PLANE,
                 the administrator's kubeconfig in KUBECONFIG. It is the one that
                 GANTRY_TEST_CONTROL_PLANE names already, if that runs, so that
                 'run ctest' starts one for all tests; else, and with --own or a
                 FLAG, it is COMMAND's alone and ends with it

GANTRY_KUBERNETES=oldest|newest is the Kubernetes to build and start: the oldest that
is supported (the default) or the newest there was.
USAGE
}

note() {
  printf 'control plane: %s\n' "$*" >&2
}

fail() {
  note "$@"
  exit 1
}

# Waits a tenth of a second: nobody ever writes to the pipe.
pause() {
  read -r -t 0.1 <> <(:) || true
}

# wait_until SECONDS COMMAND...: runs the command until it succeeds; fails after that time.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    pause
  done
}

# await DIR COMMAND...: as wait_until, for as long as a start may take; fails at once when
# a server has died.
await() {
  local dir=$1 deadline=$((SECONDS + start_timeout))
  shift
  until "$@"; do
    ! has_died "$dir" etcd && ! has_died "$dir" apiserver && ((SECONDS < deadline)) || return 1
    pause
  done
}

require_tools() {
  local tool missing=()
  for tool in "$@"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [[ ${#missing[@]} -eq 0 ]] ||
    fail "missing on this machine: ${missing[*]} (Debian packages: curl, jq, openssl, util-linux)"
}

# ---- assets ------------------------------------------------------------------------

has_assets() {
  [[ -f $1/kube-apiserver && -x $1/kube-apiserver && -f $1/etcd && -x $1/etcd ]]
}

# The name of the cached build tells what it was made from.
recipe_hash() {
  { uname -m; cat "$repository/tools/go.sh" "$here/build_assets.sh" "$here/kubernetes/$release"/go.* "$here/etcd"/go.*; } |
    sha256sum | cut -c 1-12
}

# Builds into a folder beside the final one and moves it there when complete, so that
# the final one, if it exists, can be used without a lock.
build_assets() {
  local final=$1 log=$1.log
  mkdir -p "$(dirname "$final")"
  exec 9>"$(dirname "$final")/control-plane.lock"
  if ! flock --nonblock 9; then
    note 'waiting for another build of the control plane to end'
    flock 9
  fi
  if ! has_assets "$final"; then
    # Under the lock nobody else builds: these are of a build that was killed.
    rm -rf "$(dirname "$final")"/control-plane-*.building.* "$final"
    building=$(mktemp -d "$final.building.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    : >"$log"
    if ! "$here/build_assets.sh" "$release" "$building" "$log" 9>&-; then
      tail -n 20 "$log" >&2
      fail "could not build the control plane; the whole log is $log"
    fi
    chmod 755 "$building"
    mv -T "$building" "$final"
    trap - EXIT
  fi
  exec 9>&-
}

assets() {
  if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
    has_assets "$KUBEBUILDER_ASSETS" ||
      fail "KUBEBUILDER_ASSETS is '$KUBEBUILDER_ASSETS', which does not hold the executables kube-apiserver and etcd: point it to a folder that does, or unset it to have them built"
    (cd "$KUBEBUILDER_ASSETS" && pwd)
    return
  fi
  [[ -d $here/kubernetes/$release ]] ||
    fail "GANTRY_KUBERNETES is '$GANTRY_KUBERNETES': 'oldest' or 'newest', the folders of $here/kubernetes"
  local final
  final=${XDG_CACHE_HOME:-${HOME:?}/.cache}/gantry/control-plane-$release-$(recipe_hash)
  has_assets "$final" || (build_assets "$final") >&2
  printf '%s\n' "$final"
}

# ---- what the servers and their users need -----------------------------------------

# sign_certificate DIR NAME SUBJECT EXTENSIONS: DIR/NAME.key and DIR/NAME.crt
sign_certificate() {
  local dir=$1 name=$2 subject=$3 extensions=$4
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/$name.key"
  openssl req -new -config "$dir/openssl.cnf" -key "$dir/$name.key" -subj "$subject" |
    openssl x509 -req -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -days 365 \
      -set_serial "0x$(openssl rand -hex 8)" \
      -extfile <(printf '%s\n' 'basicConstraints=critical,CA:FALSE' "$extensions") \
      -out "$dir/$name.crt" 2>/dev/null
}

write_certificates() {
  local dir=$1
  cat >"$dir/openssl.cnf" <<'CONFIG'
[req]
distinguished_name = subject
x509_extensions = authority
prompt = no
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
CONFIG
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/ca.key"
  openssl req -x509 -new -config "$dir/openssl.cnf" -key "$dir/ca.key" -days 365 \
    -subj "/CN=gantry test $(openssl rand -hex 4)" -out "$dir/ca.crt"

  local names=subjectAltName=DNS:localhost,IP:127.0.0.1
  sign_certificate "$dir" apiserver /CN=kube-apiserver "$names"$'\nextendedKeyUsage=serverAuth'
  # etcd's JSON gateway, which `compact` uses, is a client of etcd with etcd's own certificate.
  sign_certificate "$dir" etcd /CN=etcd "$names"$'\nextendedKeyUsage=serverAuth,clientAuth'
  sign_certificate "$dir" etcd-client /CN=kube-apiserver extendedKeyUsage=clientAuth
  sign_certificate "$dir" gantry \
    "/O=system:serviceaccounts/O=system:serviceaccounts:$gantry_namespace/CN=$gantry_user" \
    extendedKeyUsage=clientAuth
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/service-account.key"
  openssl pkey -in "$dir/service-account.key" -pubout -out "$dir/service-account.pub"
}

write_tokens() {
  local dir=$1
  admin_token=$(openssl rand -hex 24)
  gantry_token=$(openssl rand -hex 24)
  nobody_token=$(openssl rand -hex 24)
  cat >"$dir/tokens.csv" <<TOKENS
$admin_token,admin,admin,"system:masters"
$gantry_token,$gantry_user,gantry,"system:serviceaccounts,system:serviceaccounts:$gantry_namespace"
$nobody_token,nobody,nobody
TOKENS
  printf 'Authorization: Bearer %s\n' "$admin_token" >"$dir/admin.header"
}

# write_kubeconfig FILE URL NAMESPACE AUTHORITY CREDENTIAL...: the last ones are lines.
write_kubeconfig() {
  local file=$1 url=$2 namespace=$3 authority=$4
  shift 4
  cat >"$file" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: $url
    $authority
users:
- name: test
  user:
$(printf '    %s\n' "$@")
contexts:
- name: test
  context:
    cluster: test
    user: test
    namespace: $namespace
current-context: test
KUBECONFIG
}

write_kubeconfigs() {
  local dir=$1 url=$2 authority
  authority="certificate-authority-data: $(base64 --wrap=0 "$dir/ca.crt")"
  write_kubeconfig "$dir/admin.kubeconfig" "$url" default "$authority" "token: $admin_token"
  write_kubeconfig "$dir/gantry.kubeconfig" "$url" "$gantry_namespace" "$authority" "token: $gantry_token"
  write_kubeconfig "$dir/nobody.kubeconfig" "$url" default "$authority" "token: $nobody_token"
  # Relative paths: relative to the kubeconfig, wherever its reader runs.
  write_kubeconfig "$dir/gantry-cert.kubeconfig" "$url" "$gantry_namespace" \
    'certificate-authority: ca.crt' 'client-certificate: gantry.crt' 'client-key: gantry.key'
}

# ---- servers -----------------------------------------------------------------------

# A port below the kernel's range for outgoing connections that nobody listens on now.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  printf '%s\n' "$port"
}

is_ours() {
  [[ -e $1/$marker ]]
}

# tell DIR WORD: a command for the supervisor.
tell() {
  is_file_running "$1/supervisor.pid" ||
    fail "the control plane in $1 has no supervisor any more: stop it and start another"
  [[ -p $1/control ]] || fail "the control plane in $1 is being stopped"
  printf '%s\n' "$2" 1<>"$1/control"
}

# The supervisor shares nothing with its starter: no terminal, no open file (a reader
# of our output would wait for its end), no process group.
start_supervisor() {
  local dir=$1 owner=$2 folder=$3
  mkfifo "$dir/control"
  (
    for descriptor in /proc/self/fd/*; do
      descriptor=${descriptor##*/}
      [[ $descriptor -le 2 || $descriptor -eq 255 ]] || eval "exec $descriptor>&-"
    done
    exec setsid bash "$here/supervisor.sh" "$dir" "$folder" ${owner:+"$owner"}
  ) </dev/null >>"$dir/supervisor.log" 2>&1 &
  disown
  if ! wait_until "$start_timeout" is_file_running "$dir/supervisor.pid"; then
    [[ ! -e $dir/supervisor.log ]] || tail -n 20 "$dir/supervisor.log" >&2
    fail "the supervisor of $dir did not start"
  fi
}

etcd_curl() {
  local dir=$1 path=$2
  shift 2
  curl --disable --noproxy '*' --silent --max-time 60 --cacert "$dir/ca.crt" \
    --cert "$dir/etcd-client.crt" --key "$dir/etcd-client.key" \
    "$@" "https://127.0.0.1:$(<"$dir/etcd.port")$path"
}

# api DIR METHOD PATH [CURL OPTION...]: a request of the administrator; sets `status`
# and `body`. The status is 000 when there was no answer.
api() {
  local dir=$1 method=$2 path=$3 answer
  shift 3
  answer=$(curl --disable --noproxy '*' --silent --max-time 60 --cacert "$dir/ca.crt" \
    --header "@$dir/admin.header" --request "$method" --write-out '\n%{http_code}' \
    "$@" "$(<"$dir/url")$path") || true
  status=${answer##*$'\n'}
  body=${answer%$'\n'*}
}

is_etcd_ready() {
  etcd_curl "$1" /health --fail >/dev/null
}

is_apiserver_ready() {
  api "$1" GET /readyz
  [[ $status == 200 ]]
}

# Whether the server was started and is not running any more.
has_died() {
  [[ -e $1/$2.pid ]] && ! is_file_running "$1/$2.pid"
}

# start_server DIR etcd|apiserver: starts it on the port in DIR/<name>.port and waits
# until it is ready. Returns 2 when the port was taken by somebody else.
start_server() {
  local dir=$1 name=$2
  rm -f "$dir/$name.pid"
  printf -- '---- start on port %s\n' "$(<"$dir/$name.port")" >>"$dir/$name.log"
  tell "$dir" "start-$name"
  # What answers may be somebody else's who was faster to take the port.
  if await "$dir" "is_${name}_ready" "$dir" && is_file_running "$dir/$name.pid"; then
    return 0
  fi
  if has_died "$dir" "$name"; then
    # Of the log only what follows the last start.
    if tac "$dir/$name.log" | sed '/^---- start/q' | grep 'address already in use' >/dev/null; then
      return 2
    fi
    note "$name ended at its start; the end of $dir/$name.log:"
  else
    note "$name did not get ready within $start_timeout s; the end of $dir/$name.log:"
  fi
  tail -n 30 "$dir/$name.log" >&2
  return 1
}

# Starts a server on a free port; another one when somebody was faster to take it.
start_server_on_free_port() {
  local dir=$1 name=$2 tries result
  for tries in 1 2 3 4 5; do
    free_port >"$dir/$name.port"
    [[ $name != apiserver ]] || printf 'https://127.0.0.1:%s\n' "$(<"$dir/$name.port")" >"$dir/url"
    result=0
    start_server "$dir" "$name" || result=$?
    [[ $result -eq 2 ]] || break
    note "port $(<"$dir/$name.port") for $name was taken meanwhile (try $tries of 5)"
  done
  [[ $result -eq 0 ]] || exit 1
}

# ---- objects -----------------------------------------------------------------------

# Prints the documents of a YAML file, each followed by a NUL.
split_documents() {
  awk '/^---([ \t]|$)/ { printf "%c", 0; next } { print } END { printf "%c", 0 }' "$1"
}

# field DOCUMENT KEY [PARENT]: a plain scalar of the top level, or of the mapping PARENT there.
field() {
  awk -v key="$2" -v parent="${3:-}" '
    /^[^ \t#]/ { top = $1 }
    parent == "" ? (/^[^ \t#]/ && $1 == key ":") : (/^  [^ \t#-]/ && top == parent ":" && $1 == key ":") {
      value = $2
      gsub(/^["\047]|["\047]$/, "", value)
      print value
      exit
    }' <<<"$1"
}

declare -A discovered=()

# collection_path DIR API_VERSION KIND NAMESPACE: sets `collection`.
collection_path() {
  local dir=$1 version=$2 kind=$3 namespace=$4 root=/apis/$2 resource
  [[ $version == */* ]] || root=/api/$version
  if [[ -z ${discovered[$version]:-} ]]; then
    api "$dir" GET "$root"
    [[ $status == 200 ]] || return 1
    discovered[$version]=$body
  fi
  resource=$(jq --raw-output --arg kind "$kind" '
    .resources[] | select(.kind == $kind and (.name | contains("/") | not)) | "\(.name) \(.namespaced)"' \
    <<<"${discovered[$version]}")
  [[ -n $resource ]] || return 1
  collection=$root
  [[ ${resource#* } == false ]] || collection+=/namespaces/${namespace:-$gantry_namespace}
  collection+=/${resource% *}
}

is_established() {
  api "$1" GET "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/$2"
  [[ $status == 200 ]] && jq --exit-status \
    'any(.status.conditions[]?; .type == "Established" and .status == "True")' <<<"$body" >/dev/null
}

answers() {
  api "$1" GET "$2?limit=1"
  [[ $status == 200 ]]
}

wait_for_definition() {
  local dir=$1 name=$2 path
  await "$dir" is_established "$dir" "$name" ||
    fail "CustomResourceDefinition $name was not established; the API server says: HTTP $status $body"
  for path in $(jq --raw-output '.spec | "/apis/\(.group)/\(.versions[] | select(.served).name)/\(.names.plural)"' <<<"$body"); do
    await "$dir" answers "$dir" "$path" || fail "$path did not get ready: HTTP $status $body"
  done
}

# Creates the objects of a file. One that exists already is left as it is; a namespaced
# one that names no namespace goes to Gantry's.
apply_file() {
  local dir=$1 file=$2 document version kind collection
  while IFS= read -r -d '' document; do
    version=$(field "$document" apiVersion)
    kind=$(field "$document" kind)
    # Comments alone; or a kustomization, which is no object of the API.
    [[ -n $kind && $version != kustomize.config.k8s.io/* ]] || continue
    collection_path "$dir" "$version" "$kind" "$(field "$document" namespace metadata)" ||
      fail "$file: the API server does not know kind '$kind' of '$version'"
    api "$dir" POST "$collection" --header 'Content-Type: application/yaml' --data-binary @- <<<"$document"
    [[ $status == 2?? || $status == 409 ]] ||
      fail "$file: could not create $kind $(field "$document" name metadata): HTTP $status $(jq --raw-output .message <<<"$body" 2>/dev/null || echo "$body")"
    [[ $kind != CustomResourceDefinition ]] ||
      wait_for_definition "$dir" "$(jq --raw-output '.metadata.name // .details.name' <<<"$body")"
  done < <(split_documents "$file")
}

# may_probe_get DIR RESOURCE: whether the authorizer knows what authorization_probe.yaml grants.
may_probe_get() {
  api "$1" POST /apis/authorization.k8s.io/v1/subjectaccessreviews --header 'Content-Type: application/json' \
    --data '{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user":
      "authorization-probe", "resourceAttributes": {"verb": "get", "resource": "'"$2"'", "namespace": "gantry-system"}}}'
  [[ $status == 201 ]] && jq --exit-status .status.allowed <<<"$body" >/dev/null
}

apply_all() {
  local dir=$1 folder file
  for folder in "$here/manifests" "$repository/deploy/crds" "$repository/deploy/rbac"; do
    for file in "$folder"/*.yaml "$folder"/*.yml; do
      [[ ! -f $file ]] || apply_file "$dir" "$file"
    done
  done

  local resource
  apply_file "$dir" "$here/authorization_probe.yaml"
  for resource in configmaps nodes; do
    await "$dir" may_probe_get "$dir" "$resource" ||
      fail "the roles did not get effective; the API server says: HTTP $status $body"
  done
}

# ---- commands ----------------------------------------------------------------------

start() {
  local dir='' owner='' flags=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      --owner)
        [[ ${2:-} =~ ^[0-9]+$ ]] || fail "--owner needs a process id, not '${2:-}'"
        owner=$2
        shift 2
        ;;
      --apiserver-flag)
        [[ ${2:-} == --* ]] || fail "--apiserver-flag needs a flag of kube-apiserver, not '${2:-}'"
        flags+=("$2")
        shift 2
        ;;
      -*) fail "start does not know the option '$1'" ;;
      *)
        [[ -z $dir ]] || fail "start takes one folder, not '$dir' and '$1'"
        dir=$1
        shift
        ;;
    esac
  done
  [[ -n $dir ]] || fail 'start needs a folder'
  require_tools curl jq openssl setpriv setsid
  [[ -z $owner ]] || process_identity "$owner" >/dev/null || fail "the owner, process $owner, is not running"
  local folder
  folder=$(assets)

  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd -P)
  [[ -z $(ls -A "$dir") ]] || fail "$dir is not empty: give a new folder, which will be removed at the end"
  chmod 700 "$dir"
  : >"$dir/$marker"
  starting=$dir
  trap 'stop "$starting"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  printf '%s\n' "$release" >"$dir/release"
  printf '%s' "${flags[@]/%/$'\n'}" >"$dir/apiserver.flags"
  start_supervisor "$dir" "$owner" "$folder"
  write_certificates "$dir"
  write_tokens "$dir"
  start_server_on_free_port "$dir" etcd
  start_server_on_free_port "$dir" apiserver
  apply_all "$dir"
  write_kubeconfigs "$dir" "$(<"$dir/url")"
  printf 'export GANTRY_TEST_CONTROL_PLANE=%q\n' "$dir" >"$dir/env"
  trap - EXIT INT TERM HUP
  note "ready at $(<"$dir/url"), files in $dir"
}

stop() {
  local dir=${1:-} name identity
  [[ -n $dir ]] || fail 'stop needs a folder'
  [[ -e $dir ]] || return 0
  is_ours "$dir" || fail "$dir was not made by 'start', so it is not removed"
  # shellcheck disable=SC2086  # a process id and its start time
  if identity=$(read_process_file "$dir/supervisor.pid") && is_running $identity; then
    [[ ! -p $dir/control ]] || printf 'stop\n' 1<>"$dir/control"
    wait_until "$stop_timeout" is_not_running $identity || note "the supervisor of $dir does not end, killing it"
  fi
  # What is still there had a supervisor that was killed, or never had one.
  for name in supervisor apiserver etcd; do
    identity=$(read_process_file "$dir/$name.pid") || continue
    # shellcheck disable=SC2086
    is_running $identity || continue
    kill -KILL "${identity% *}" 2>/dev/null || true
    # shellcheck disable=SC2086
    wait_until "$stop_timeout" is_not_running $identity || fail "process ${identity% *} ($name) does not die"
  done
  rm -rf "$dir"
}

is_not_running() {
  ! is_running "$@"
}

# existing_dir DIR: sets `dir`.
existing_dir() {
  [[ -n ${1:-} ]] || fail 'the folder of the control plane is missing'
  is_ours "$1" || fail "there is no control plane in '$1'"
  dir=$(cd "$1" && pwd -P)
}

stop_apiserver() {
  local dir
  existing_dir "$@"
  [[ -e $dir/apiserver.pid ]] || return 0
  tell "$dir" stop-apiserver
  wait_until "$stop_timeout" test ! -e "$dir/apiserver.pid" || fail "the API server of $dir does not end"
}

start_apiserver() {
  local dir result=0
  existing_dir "$@"
  ! is_file_running "$dir/apiserver.pid" || return 0
  start_server "$dir" apiserver || result=$?
  [[ $result -ne 2 ]] || fail "port $(<"$dir/apiserver.port") was taken by another program meanwhile"
  return "$result"
}

compact() {
  local dir revision answer
  existing_dir "$@"
  answer=$(etcd_curl "$dir" /v3/kv/range --fail --data '{"key": "AA=="}') || fail "etcd of $dir does not answer"
  revision=$(jq --raw-output .header.revision <<<"$answer")
  answer=$(etcd_curl "$dir" /v3/kv/compaction --data "{\"revision\": \"$revision\", \"physical\": true}") ||
    fail "etcd of $dir does not answer"
  # The API server compacts too: then this revision may be compacted already.
  [[ $(jq --raw-output '.code // 0' <<<"$answer") == 0 || $answer == *'has been compacted'* ]] ||
    fail "etcd of $dir did not compact revision $revision: $answer"
}

# pass_on SIGNAL: to the child, or to the next one while there is none.
pass_on() {
  if [[ -n $child ]]; then
    kill "-$1" "$child" 2>/dev/null || true
    pending=''
  else
    pending=$1
  fi
}

# Runs a command as a child and passes INT and TERM on to it; returns its exit status.
# In the background, as bash handles a signal only after a child in the foreground ends.
# `env` undoes that background children ignore SIGINT; <&0 keeps standard input.
child='' pending=''
run_child() {
  local result
  trap 'pass_on INT' INT
  trap 'pass_on TERM' TERM HUP
  env --default-signal=INT,QUIT -- "$@" <&0 &
  child=$!
  [[ -z $pending ]] || pass_on "$pending"
  # A wait ends at a trapped signal too.
  while true; do
    result=0
    wait "$child" || result=$?
    kill -0 "$child" 2>/dev/null || break
  done
  child=''
  return "$result"
}

# shares_plane: whether GANTRY_TEST_CONTROL_PLANE names a control plane that runs.
shares_plane() {
  local dir=${GANTRY_TEST_CONTROL_PLANE:-}
  [[ -n $dir ]] && is_ours "$dir" && is_file_running "$dir/apiserver.pid" || return 1
  [[ -z ${GANTRY_KUBERNETES:-} || $(<"$dir/release") == "$GANTRY_KUBERNETES" ]] ||
    fail "GANTRY_KUBERNETES is '$GANTRY_KUBERNETES', but the control plane in GANTRY_TEST_CONTROL_PLANE ($dir) is of '$(<"$dir/release")': unset one of them"
}

run() {
  local own='' flags=()
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --own)
        own=yes
        shift
        ;;
      --apiserver-flag)
        own=yes
        flags+=("$1" "${2:-}")
        shift 2 || fail "--apiserver-flag needs a flag of kube-apiserver"
        ;;
      *) fail "run does not know the option '$1'" ;;
    esac
  done
  [[ $# -gt 0 ]] || fail 'run needs a command'
  if [[ -z $own ]] && shares_plane; then
    export KUBECONFIG=$GANTRY_TEST_CONTROL_PLANE/admin.kubeconfig
    exec -- "$@"
  fi
  running=$(mktemp -d "${TMPDIR:-/tmp}/gantry-control-plane.XXXXXX")
  trap 'rmdir "$running" 2>/dev/null || stop "$running"' EXIT
  # With an owner, so that even SIGKILL of this process leaves nothing.
  run_child "$here/control_plane.sh" start "$running" --owner $$ "${flags[@]}"
  export GANTRY_TEST_CONTROL_PLANE=$running KUBECONFIG=$running/admin.kubeconfig
  run_child "$@"
}

main() {
  local subcommand=${1:-}
  shift || true
  case $subcommand in
    assets) assets ;;
    start) start "$@" ;;
    stop) stop "$@" ;;
    stop-apiserver) stop_apiserver "$@" ;;
    start-apiserver) start_apiserver "$@" ;;
    compact) compact "$@" ;;
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
