#!/usr/bin/env bash
# build.sh - Helm, compiled from the Go module proxy at the version that go.mod pins.
#
#   build.sh            builds it if it is not there yet, prints its path
#   build.sh --where    prints its path, builds nothing (exit 1 when it is not there)
#
# Only the path goes to stdout, all else to stderr:  helm=$(./build.sh)
#
# Environment
#   HELM       a helm that is there already: it is used, nothing is built
#   HELM_BIN   the folder it goes to; default ${XDG_CACHE_HOME:-$HOME/.cache}/dispatcher/helm/<version>
#   JOBS       compiler processes at a time (go build -p); default: one a core
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "build.sh: $*" >&2; }
die() { say "$*"; exit 1; }

where=0
case ${1-} in
  '') ;;
  --where) where=1 ;;
  *) die "unknown argument $1" ;;
esac

if [ -n "${HELM-}" ]; then
  [ -x "$HELM" ] || die "HELM=$HELM is no program"
  echo "$HELM"
  exit
fi

version=$(awk '$1 == "helm.sh/helm/v3" && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
[ -n "$version" ] || die "go.mod names no version of Helm"
bin=${HELM_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/dispatcher/helm/$version}

# A half-written file, or one left from another pin, is built again.
present() { local said; said=$("$bin/helm" version --short 2>/dev/null) && [ "$said" = "$version" ]; }

if present; then echo "$bin/helm"; exit; fi
if [ "$where" = 1 ]; then
  echo "$bin/helm"
  die "no Helm $version in $bin"
fi

command -v go >/dev/null || die "needs Go $(awk '$1 == "go" { print $2 }' "$here/go.mod") or later to build Helm, or HELM set to a helm"
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9                      # a second build.sh waits for the first and then finds its work done
if present; then echo "$bin/helm"; exit; fi

cd "$here"
export CGO_ENABLED=0 GOWORK=off
try=1
until go list -deps helm.sh/helm/v3/cmd/helm >/dev/null; do
  [ "$try" -lt 5 ] || die "module download failed $try times"
  say "module download failed (try $try of 5), again in $((try * 5)) s"
  sleep $((try * 5))
  try=$((try + 1))
done

# What Helm's own Makefile stamps: its version, and the Kubernetes that charts are told of unless a cluster is asked.
minor=$(awk '$1 == "k8s.io/client-go" { split($2, part, "."); print part[2]; exit }' go.mod)
stamps=("-X helm.sh/helm/v3/internal/version.version=$version" "-X helm.sh/helm/v3/internal/version.metadata=")
for package in pkg/lint/rules pkg/chartutil; do
  stamps+=("-X helm.sh/helm/v3/$package.k8sVersionMajor=1" "-X helm.sh/helm/v3/$package.k8sVersionMinor=$minor")
done
GOPROXY=off go build -p "${JOBS:-$(nproc)}" -trimpath -buildvcs=false -ldflags "-s -w ${stamps[*]}" \
  -o "$bin/.helm.part" helm.sh/helm/v3/cmd/helm
mv "$bin/.helm.part" "$bin/helm"
present || die "$bin/helm does not report $version"
say "Helm $version ready after ${SECONDS} s"
echo "$bin/helm"
