#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of control_plane.sh. Usage: control_plane_test.sh [TEST...]; default: all of them.
# shellcheck disable=SC2317  # because of the exit in the last line

set -euo pipefail
shopt -s inherit_errexit
unset CDPATH

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly control_plane=$here/control_plane.sh
# Those of the caller's are not what is tested.
unset GANTRY_TEST_CONTROL_PLANE KUBECONFIG
readonly applications=/apis/argoproj.io/v1alpha1/namespaces/team-a/applications

fail() {
  printf '    %s\n' "$*" >&2
  exit 1
}

# expect_equal WHAT EXPECTED FOUND
expect_equal() {
  [[ $3 == "$2" ]] || fail "$1: expected '$2', found '$3'"
}

expect_contains() {
  [[ $3 == *"$2"* ]] || fail "$1: expected it to contain '$2', found '$3'"
}

# eventually COMMAND...: polls until the command succeeds, for up to 30 s.
eventually() {
  local deadline=$((SECONDS + 30))
  until "$@"; do
    ((SECONDS < deadline)) || fail "did not happen within 30 s: $*"
    read -r -t 0.1 <> <(:) || true
  done
}

# The processes that name a folder on their command line, a line each.
processes_of() {
  local file words
  for file in /proc/[0-9]*/cmdline; do
    words=()
    { mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
    [[ ${words[*]} != *"$1"* ]] || printf '%s\n' "${words[*]}"
  done
}

is_without_process() {
  [[ -z $(processes_of "$1") ]]
}

is_absent() {
  [[ ! -e $1 ]]
}

expect_nothing_left() {
  expect_equal "processes of $1" '' "$(processes_of "$1")"
  is_absent "$1" || fail "$1 is still there"
}

# A control plane of the test's own.
start_plane() {
  dir=$scratch/plane
  "$control_plane" start "$dir"
}

# The one that tests share which do not stop or break it, each with objects of its own.
use_shared_plane() {
  dir=$shared
}

# request USER METHOD PATH [CURL OPTION...]: with the credentials of DIR/USER.kubeconfig;
# sets `status` and `body`.
request() {
  local config=$dir/$1.kubeconfig method=$2 path=$3 token server answer credentials=()
  shift 3
  config_value() { awk -v key="$1:" '$1 == key { print $2 }' "$config"; }
  server=$(config_value server)
  token=$(config_value token)
  if [[ -n $token ]]; then
    config_value certificate-authority-data | base64 --decode >"$scratch/ca.crt"
    credentials=(--cacert "$scratch/ca.crt" --header "Authorization: Bearer $token")
  else
    credentials=(--cacert "$dir/$(config_value certificate-authority)"
      --cert "$dir/$(config_value client-certificate)" --key "$dir/$(config_value client-key)")
  fi
  answer=$(curl --disable --noproxy '*' --silent --max-time 20 "${credentials[@]}" \
    --request "$method" --write-out '\n%{http_code}' "$@" "$server$path") || true
  status=${answer##*$'\n'}
  body=${answer%$'\n'*}
}

# answers_ok USER PATH
answers_ok() {
  request "$1" GET "$2"
  [[ $status == 200 ]]
}

# expect_request STATUS USER METHOD PATH [CURL OPTION...]
expect_request() {
  local expected=$1
  shift
  request "$@"
  [[ $status == "$expected" ]] || fail "$1: $2 $3: expected HTTP $expected, found $status: $body"
}

readonly as_json=(--header 'Content-Type: application/json')
readonly as_json_patch=(--header 'Content-Type: application/json-patch+json')

create_application() {
  expect_request 201 admin POST "$applications" "${as_json[@]}" --data '{"apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application", "metadata": {"name": "'"$1"'"}, "spec": {"project": "default"}}'
}

# ---- tests -------------------------------------------------------------------------

StopLeavesNoProcessAndNoFile() {
  start_plane
  expect_equal 'number of processes' 3 "$(processes_of "$dir" | wc -l)"
  # shellcheck source=/dev/null
  expect_equal 'the sourced env' "$dir" "$(. "$dir/env" && printenv GANTRY_TEST_CONTROL_PLANE)"
  "$control_plane" stop "$dir"
  expect_nothing_left "$dir"
  # Again: nothing to do is no error.
  "$control_plane" stop "$dir"
}

ServesApplicationsLikeArgoCdDefinesThem() {
  use_shared_plane
  create_application shop
  local version patch
  version=$(jq --raw-output .metadata.resourceVersion <<<"$body")

  patch='[{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"},
    {"op": "add", "path": "/status", "value": {"health": {"status": "Healthy"}}}]'
  expect_request 409 admin PATCH "$applications/shop" "${as_json_patch[@]}" --data "$patch"
  expect_request 200 admin PATCH "$applications/shop" "${as_json_patch[@]}" --data "${patch/'"1"'/"\"$version\""}"
  expect_equal 'the status in the main resource' Healthy "$(jq --raw-output .status.health.status <<<"$body")"
  expect_request 404 admin GET "$applications/shop/status"

  local namespace
  for namespace in argocd gantry-system team-a; do
    expect_request 200 admin GET "/api/v1/namespaces/$namespace"
  done
}

KnowsItsUsersByTokenAndCertificate() {
  use_shared_plane
  create_application guarded
  expect_request 201 admin POST /apis/rbac.authorization.k8s.io/v1/namespaces/team-a/roles "${as_json[@]}" --data '{
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "self-test"},
    "rules": [{"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get"]}]}'
  expect_request 201 admin POST /apis/rbac.authorization.k8s.io/v1/namespaces/team-a/rolebindings "${as_json[@]}" --data '{
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "self-test"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "self-test"},
    "subjects": [{"kind": "ServiceAccount", "name": "gantry", "namespace": "gantry-system"}]}'
  eventually answers_ok gantry "$applications/guarded"
  expect_request 200 gantry-cert GET "$applications/guarded"
  expect_request 403 nobody GET "$applications/guarded"
  expect_contains 'the refusal' 'User \"nobody\" cannot get' "$body"
  expect_request 403 gantry-cert DELETE /api/v1/nodes
  expect_contains 'the refusal' 'User \"system:serviceaccount:gantry-system:gantry\"' "$body"

  local token groups
  token=$(awk '$1 == "token:" { print $2 }' "$dir/gantry.kubeconfig")
  expect_request 201 admin POST /apis/authentication.k8s.io/v1/tokenreviews "${as_json[@]}" --data '{
    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "'"$token"'"}}'
  groups=$(jq --raw-output '.status.user.groups | join(" ")' <<<"$body")
  expect_contains 'the groups' 'system:serviceaccounts system:serviceaccounts:gantry-system' "$groups"

  # Whom it does not know it does not let in.
  sed 's/token: .*/token: unknown/' "$dir/nobody.kubeconfig" >"$dir/unknown.kubeconfig"
  expect_request 401 unknown GET "$applications/guarded"
  grep -q 'namespace: gantry-system' "$dir/gantry.kubeconfig" || fail 'the context of gantry names no namespace'
  ! grep -E 'certificate|key' "$dir/gantry-cert.kubeconfig" | grep / || fail 'gantry-cert.kubeconfig has absolute paths'
}

KeepsDataAndPortOverAnOutage() {
  start_plane
  create_application shop
  local url
  url=$(<"$dir/url")
  "$control_plane" stop-apiserver "$dir"
  expect_request 000 admin GET "$applications/shop"
  "$control_plane" stop-apiserver "$dir"
  "$control_plane" start-apiserver "$dir"
  expect_request 200 admin GET "$applications/shop"
  "$control_plane" start-apiserver "$dir"
  expect_equal 'the address' "$url" "$(<"$dir/url")"
  "$control_plane" stop "$dir"
  expect_nothing_left "$dir"
}

CompactionExpiresOldRevisions() {
  start_plane
  create_application one
  create_application two
  expect_request 200 admin GET "$applications?limit=1"
  local page
  page="$applications?limit=1&continue=$(jq --raw-output .metadata.continue <<<"$body")"
  expect_request 200 admin GET "$page"
  create_application three
  "$control_plane" stop-apiserver "$dir"
  "$control_plane" compact "$dir"
  # Nothing written since: compacted already.
  "$control_plane" compact "$dir"
  "$control_plane" start-apiserver "$dir"
  expect_request 410 admin GET "$page"
  "$control_plane" stop "$dir"
}

EndsWithItsOwner() {
  dir=$scratch/plane
  local owner
  tail -f /dev/null &
  owner=$!
  disown "$owner"
  "$control_plane" start "$dir" --owner "$owner"
  expect_equal 'number of processes' 3 "$(processes_of "$dir" | wc -l)"
  kill -KILL "$owner"
  eventually is_absent "$dir"
  eventually is_without_process "$dir"
}

ServersEndWithTheirSupervisor() {
  start_plane
  local supervisor
  read -r supervisor <"$dir/supervisor.pid"
  kill -KILL "$supervisor"
  eventually is_without_process "$dir"
  if "$control_plane" stop-apiserver "$dir" 2>"$scratch/errors"; then
    fail 'stop-apiserver succeeded without a supervisor'
  fi
  expect_contains 'the error' 'has no supervisor any more' "$(<"$scratch/errors")"
  "$control_plane" stop "$dir"
  expect_nothing_left "$dir"
}

TwoStartAtOnce() {
  local first second
  "$control_plane" start "$scratch/one" &
  first=$!
  "$control_plane" start "$scratch/two" &
  second=$!
  wait "$first" || fail 'the first did not start'
  wait "$second" || fail 'the second did not start'
  [[ $(<"$scratch/one/url") != "$(<"$scratch/two/url")" ]] || fail 'both have the same address'
  "$control_plane" stop "$scratch/one"
  expect_nothing_left "$scratch/one"
  dir=$scratch/two
  create_application shop
  "$control_plane" stop "$scratch/two"
  expect_nothing_left "$scratch/two"
}

# An API server that finds its port taken at the first try.
TakesAnotherPortWhenOneIsTaken() {
  local assets
  assets=$("$control_plane" assets)
  mkdir "$scratch/assets"
  ln -s "$assets/etcd" "$scratch/assets/etcd"
  cat >"$scratch/assets/kube-apiserver" <<SCRIPT
#!/bin/sh
[ -e "\$HOME/tried" ] && exec "$assets/kube-apiserver" "\$@"
touch "\$HOME/tried"
echo 'listen tcp 127.0.0.1: bind: address already in use' >&2
exit 1
SCRIPT
  chmod +x "$scratch/assets/kube-apiserver"
  export KUBEBUILDER_ASSETS=$scratch/assets
  start_plane 2>"$scratch/errors"
  expect_contains 'the messages' 'was taken meanwhile (try 1 of 5)' "$(<"$scratch/errors")"
  create_application shop
  "$control_plane" stop "$dir"
  expect_nothing_left "$dir"
}

# Not after the minutes that a slow start is waited for.
AFailedStartSaysWhyAndLeavesNothing() {
  local assets
  assets=$("$control_plane" assets)
  mkdir "$scratch/assets"
  ln -s "$assets/etcd" "$scratch/assets/etcd"
  printf '#!/bin/sh\necho "flag is unknown" >&2\nexit 1\n' >"$scratch/assets/kube-apiserver"
  chmod +x "$scratch/assets/kube-apiserver"
  dir=$scratch/plane
  local began=$SECONDS
  if KUBEBUILDER_ASSETS=$scratch/assets "$control_plane" start "$dir" 2>"$scratch/errors"; then
    fail 'started without an API server'
  fi
  ((SECONDS - began < 60)) || fail "a server that died was waited for, $((SECONDS - began)) s"
  expect_contains 'the error' 'flag is unknown' "$(<"$scratch/errors")"
  expect_nothing_left "$dir"
}

UsesOnlyCompleteAssets() {
  local errors
  mkdir "$scratch/assets"
  if errors=$(KUBEBUILDER_ASSETS=$scratch/assets "$control_plane" assets 2>&1); then
    fail 'accepted an empty folder'
  fi
  expect_contains 'the error' "KUBEBUILDER_ASSETS is '$scratch/assets'" "$errors"
  touch "$scratch/assets/etcd" "$scratch/assets/kube-apiserver"
  ! KUBEBUILDER_ASSETS=$scratch/assets "$control_plane" assets 2>/dev/null || fail 'accepted files that are not executable'
  chmod +x "$scratch/assets"/*
  expect_equal 'the folder' "$scratch/assets" "$(KUBEBUILDER_ASSETS=$scratch/assets "$control_plane" assets)"
}

TouchesOnlyFoldersOfItsOwn() {
  mkdir "$scratch/other"
  touch "$scratch/other/precious"
  ! "$control_plane" start "$scratch/other" 2>/dev/null || fail 'start took a folder that is in use'
  ! "$control_plane" stop "$scratch/other" 2>/dev/null || fail 'stop took a folder that start did not make'
  [[ -e $scratch/other/precious ]] || fail 'a file of somebody else was removed'
  ! "$control_plane" start "$scratch/plane" --owner 0 2>/dev/null || fail 'start took an owner that does not run'
}

TakesFlagsForTheApiServer() {
  dir=$scratch/plane
  "$control_plane" start "$dir" --apiserver-flag --feature-gates=WatchList=false --apiserver-flag --v=1
  local watch="$applications?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
  expect_request 422 admin GET "$watch"
  # Also after an outage.
  "$control_plane" stop-apiserver "$dir"
  "$control_plane" start-apiserver "$dir"
  expect_request 422 admin GET "$watch"
  "$control_plane" stop "$dir"
}

RunGivesACommandAControlPlane() {
  local output result=0
  # shellcheck disable=SC2016  # the command expands them
  output=$(echo 'standard input' | TMPDIR=$scratch "$control_plane" run bash -c '
    printf "%s\n" "$GANTRY_TEST_CONTROL_PLANE" "$KUBECONFIG" "$HOME"
    ls "$KUBECONFIG"
    cat
    exit 7') || result=$?
  expect_equal 'the exit status' 7 "$result"
  local lines
  mapfile -t lines <<<"$output"
  expect_contains 'the folder' "$scratch/gantry-control-plane." "${lines[0]}"
  expect_equal 'KUBECONFIG' "${lines[0]}/admin.kubeconfig" "${lines[1]}"
  expect_equal 'HOME' "$HOME" "${lines[2]}"
  expect_equal 'the file that KUBECONFIG names' "${lines[1]}" "${lines[3]}"
  expect_equal 'standard input' 'standard input' "${lines[4]}"
  expect_nothing_left "${lines[0]}"
}

RunSharesTheControlPlaneThatIsThere() {
  use_shared_plane
  export GANTRY_TEST_CONTROL_PLANE=$shared
  # shellcheck disable=SC2016  # the command expands it
  local say='echo "$GANTRY_TEST_CONTROL_PLANE $KUBECONFIG"' found
  export TMPDIR=$scratch
  expect_equal 'the shared one' "$shared $shared/admin.kubeconfig" "$("$control_plane" run sh -c "$say")"
  is_without_process "$scratch/" || fail 'it started one nevertheless'
  answers_ok admin /readyz || fail 'it stopped the shared one'

  found=$("$control_plane" run --own sh -c "$say")
  expect_contains 'an own one' "$scratch/gantry-control-plane." "$found"
  # shellcheck disable=SC2016
  found=$("$control_plane" run --apiserver-flag --v=1 sh -c 'cat "$GANTRY_TEST_CONTROL_PLANE/apiserver.flags"')
  expect_equal 'the flags of an own one' --v=1 "$found"
  found=$(GANTRY_TEST_CONTROL_PLANE=$scratch/gone "$control_plane" run sh -c "$say")
  expect_contains 'one instead of one that does not run' "$scratch/gantry-control-plane." "$found"

  if GANTRY_KUBERNETES=newest "$control_plane" run true 2>"$scratch/errors"; then
    fail 'another Kubernetes than was asked for was taken'
  fi
  expect_contains 'the error' "is of 'oldest'" "$(<"$scratch/errors")"
}

# A command that says where its control plane is and then waits for ever.
run_until_killed() {
  # shellcheck disable=SC2016  # the command expands it
  TMPDIR=$scratch env --default-signal=INT "$control_plane" run bash -c '
    echo "$$ $GANTRY_TEST_CONTROL_PLANE" >"$1.new"
    mv "$1.new" "$1"
    exec tail -f /dev/null' - "$scratch/running" &
  runner=$!
  eventually test -e "$scratch/running"
  read -r command dir <"$scratch/running"
  [[ -e $dir ]] || fail "the control plane's folder $dir is missing"
}

RunPassesSignalsOnAndStops() {
  local runner command signal result
  for signal in TERM INT; do
    rm -f "$scratch/running"
    run_until_killed
    kill "-$signal" "$runner"
    result=0
    wait "$runner" || result=$?
    expect_equal "the exit status at SIG$signal" $((128 + $(kill -l "$signal"))) "$result"
    ! kill -0 "$command" 2>/dev/null || fail 'the command is still running'
    expect_nothing_left "$dir"
  done
}

AKilledRunLeavesNothing() {
  local runner command
  run_until_killed
  disown "$runner"
  kill -KILL "$runner"
  eventually is_absent "$dir"
  eventually is_without_process "$dir"
  kill -KILL "$command"
}

# ---- runner ------------------------------------------------------------------------

# One test in a process of its own: bash minds `set -e` in no command whose status is asked for.
run_one() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/control-plane-test.XXXXXX")
  trap clean_up EXIT
  "$1"
}

clean_up() {
  local folder
  for folder in "$scratch"/plane "$scratch"/one "$scratch"/two "$scratch"/gantry-control-plane.*; do
    [[ ! -e $folder/.gantry-control-plane ]] || "$control_plane" stop "$folder"
  done
  rm -rf "$scratch"
}

main() {
  if [[ ${1:-} == --one ]]; then
    run_one "$2"
    return
  fi
  local tests=("$@") name passed=0 failed=0
  if [[ ${#tests[@]} -eq 0 ]]; then
    mapfile -t tests < <(sed -n 's/^\([A-Z][A-Za-z]*\)() {$/\1/p' "${BASH_SOURCE[0]}")
  fi
  export shared
  shared=$(mktemp -d "${TMPDIR:-/tmp}/control-plane-test.XXXXXX")
  trap '"$control_plane" stop "$shared"' EXIT
  "$control_plane" start "$shared" --owner $$
  for name in "${tests[@]}"; do
    if bash "${BASH_SOURCE[0]}" --one "$name" </dev/null; then
      printf 'ok      %s\n' "$name"
      passed=$((passed + 1))
    else
      printf 'FAILED  %s\n' "$name"
      failed=$((failed + 1))
    fi
  done
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [[ $failed -eq 0 ]]
}

# On one line: bash reads on only when asked to, so that editing this file while it runs does no harm.
main "$@"; exit
