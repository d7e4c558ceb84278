#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the programs of programs/go.mod: Argo CD, Helm, Kustomize. Called by argocd.sh, which decides
# whether a build is needed and keeps two of them from running at once.
#
# Usage: build_programs.sh OUT
#   OUT  an existing folder, which holds the programs and Argo CD's own definitions at the end
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1
cd "$here/programs"

go() {
  "$here/../../tools/go.sh" "$@"
}

argocd=$(go mod download -json github.com/argoproj/argo-cd/v3 | jq --raw-output .Dir)
work=$out/work
mkdir "$work"

# The controller tells its metrics to the whole network. This is the one line of it that is changed,
# in a copy that only the build sees; it stops when the line is not there.
cp -r --no-preserve=mode "$argocd" "$work/argo-cd"
readonly file=controller/appcontroller.go
sed -i 's/metricsAddr := fmt.Sprintf("0\.0\.0\.0:%d", metricsPort)/metricsAddr := fmt.Sprintf("127.0.0.1:%d", metricsPort)/' \
  "$work/argo-cd/$file"
if [[ $(diff "$argocd/$file" "$work/argo-cd/$file" | grep -c '^>') -ne 1 ]]; then
  echo "cannot keep the controller's metrics on loopback: $file does not have the one line that says where they are served" >&2
  exit 1
fi
cp go.mod go.sum "$work/"
go mod edit -replace "github.com/argoproj/argo-cd/v3=$work/argo-cd" "$work/go.mod"

go build -ldflags '-s -w' -modfile "$work/go.mod" -o "$out/argocd" .
go build -ldflags '-s -w' -o "$out/helm" helm.sh/helm/v4/cmd/helm
go build -ldflags '-s -w' -o "$out/kustomize" sigs.k8s.io/kustomize/kustomize/v5
rm -r "$work"
# The repo server calls it for each commit, whether signatures are asked for or not.
install -m 755 "$argocd/hack/git-verify-wrapper.sh" "$out/"

mkdir "$out/crds"
cp "$argocd"/manifests/crds/application-crd.yaml "$argocd"/manifests/crds/appproject-crd.yaml "$out/crds/"
chmod 644 "$out"/crds/*
