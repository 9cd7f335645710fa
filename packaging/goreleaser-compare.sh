#!/usr/bin/env bash
# goreleaser-compare.sh: has goreleaser make a snapshot of the commit that is checked out, builds the
# same version with build.sh, and wants the same bytes from both: packages, and the binaries in the
# archives. Not part of every CI run, since goreleaser takes minutes to build.
#
# GORELEASER names the program. Without it, and without one on the PATH that is of the version below, it
# is built once into the user's cache.
set -euo pipefail

cd "$(dirname "$0")/.."
readonly VERSION_WANTED=2.15.1 # has the nfpm of go.mod in it, which makes the same bytes possible

goreleaser=${GORELEASER:-goreleaser}
if [ -z "${GORELEASER:-}" ] && [[ $(goreleaser --version 2>/dev/null || :) != *"v$VERSION_WANTED"* ]]; then
  cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/multica-rollup-goreleaser-$VERSION_WANTED
  goreleaser=$cache/goreleaser
  if [ ! -x "$goreleaser" ]; then
    echo "goreleaser-compare: building goreleaser $VERSION_WANTED, which takes minutes" >&2
    GOBIN=$cache go install "github.com/goreleaser/goreleaser/v2@v$VERSION_WANTED"
  fi
fi

# In a clone, since goreleaser writes into the tree and wants it clean.
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
git clone --quiet --no-hardlinks . "$work/source"
cd "$work/source"

say() { # LOG COMMAND...: shows what the command said only if it fails
  local log=$work/$1.log
  shift
  "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }
}
say check "$goreleaser" check
say snapshot "$goreleaser" release --snapshot --clean
(cd dist && sha256sum --check --quiet --ignore-missing SHA256SUMS)

version=$(sed -nE 's/.*"version":"([^"]+)".*/\1/p' dist/metadata.json)
VERSION=$version say build packaging/build.sh "$work/own"

faults=0
compare() { # OWN OTHER
  cmp -- "$1" "$2" || faults=$((faults + 1))
}
shopt -s nullglob
own=("$work"/own/*.deb "$work"/own/*.rpm) other=(dist/*.deb dist/*.rpm)
if [ ${#own[@]} -ne 4 ] || [ ${#other[@]} -ne 4 ]; then
  echo "goreleaser-compare: want four packages of each, found ${#own[@]} of our own and ${#other[@]} of goreleaser's" >&2
  exit 1
fi
for package in "${own[@]}"; do
  compare "$package" "dist/$(basename "$package")"
done
for arch in amd64 arm64; do
  mkdir -p "$work/$arch"
  tar -xzf "dist/multica-rollup_${version}_linux_$arch.tar.gz" -C "$work/$arch" multica-rollup
  dpkg-deb --fsys-tarfile "$work"/own/*_"$arch".deb | tar -xO ./usr/bin/multica-rollup | compare - "$work/$arch/multica-rollup"
done
if [ "$faults" -ne 0 ]; then
  echo "goreleaser-compare: $faults files of goreleaser's differ from build.sh's" >&2
  exit 1
fi
echo "goreleaser-compare: ${#own[@]} packages and 2 archived binaries of $version, all the same bytes"
