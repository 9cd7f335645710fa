#!/usr/bin/env bash
# generate.sh [BINARY]: writes what the packages contain beside the binary and the files of the repository
# into $GENERATED (generated): compressed manual pages, changelogs, completions, copyright, the bill of
# materials, the maintainer scripts, and README and guide with links that work there. Called by build.sh, and by goreleaser before there is a binary: then it builds one to
# look at.
#
# VERSION, SOURCE_DATE_EPOCH and MAINTAINER have to be set; TOOLS is a directory with the programs
# sbom and changelog, which are otherwise run from source.
set -euo pipefail

cd "$(dirname "$0")/.."
generated=${GENERATED:-generated}
mkdir -p "$generated"
binary=${1:-}
if [ -z "$binary" ]; then
  binary=$(mktemp)
  trap 'rm -f -- "$binary"' EXIT
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$binary" ./cmd/multica-rollup
fi
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

tool() { # NAME ARGUMENT...: for this machine, whatever is being built for
  local name=$1
  shift
  if [ -n "${TOOLS:-}" ]; then "$TOOLS/$name" "$@"; else env -u GOOS -u GOARCH go run "./packaging/$name" "$@"; fi
}

for page in packaging/man/*.[0-9]; do
  gzip -9nc "$page" >"$generated/$(basename "$page").gz"
done
gzip -9nc CHANGELOG.md >"$generated/changelog.gz"
tool changelog -version "$VERSION" -date "$date" -maintainer "$MAINTAINER" CHANGELOG.md >"$generated/changelog.yaml"
tool changelog -format debian -version "$VERSION" -date "$date" -maintainer "$MAINTAINER" CHANGELOG.md |
  gzip -9n >"$generated/changelog.Debian.gz"
tool sbom -spdx "$generated/sbom.spdx.json" -name multica-rollup -version "$VERSION" \
  -copyright "$generated/copyright" -header packaging/copyright.in "$binary"

packaging/scripts.sh "$generated"
packaging/docs.sh "$generated"

# Completions do not depend on the architecture, and the binary may not run here.
for shell in bash zsh fish; do
  env -u GOOS -u GOARCH go run ./cmd/multica-rollup completion "$shell" >"$generated/completion.$shell"
done
