#!/usr/bin/env bash
# build.sh [DIRECTORY]: builds the packages of all architectures into DIRECTORY (dist), with a bill of
# materials for each and the checksums of all.
#
# VERSION is the semantic version, by default that of the last tag; SOURCE_DATE_EPOCH dates everything
# in the packages, by default with the time of the commit. The same source, version and toolchain give
# the same bytes.
set -euo pipefail

cd "$(dirname "$0")/.."
out=${1:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Between releases: 0.2.0-dev.3+gabc1234 sorts after 0.1.0 and before 0.2.0.
described() {
  local tag
  if ! tag=$(git describe --tags --match 'v[0-9]*' --long 2>/dev/null); then
    echo "0.1.0-dev.$(git rev-list --count HEAD)"
    return
  fi
  local hash=${tag##*-g} rest=${tag%-g*}
  local count=${rest##*-} version=${rest%-*}
  version=${version#v}
  if [ "$count" -eq 0 ]; then
    echo "$version"
    return
  fi
  IFS=. read -r major minor _ <<<"$version"
  echo "$major.$((minor + 1)).0-dev.$count+g$hash"
}

VERSION=${VERSION:-$(described)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
MAINTAINER=${MAINTAINER:-"multica-rollup maintainers <multica-rollup@users.noreply.github.com>"}
export VERSION SOURCE_DATE_EPOCH MAINTAINER CGO_ENABLED=0

module=$(go list -m)
commit=$(git rev-parse HEAD)
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
ldflags="-s -w -buildid= -X $module/internal/buildinfo.version=$VERSION -X $module/internal/buildinfo.commit=$commit -X $module/internal/buildinfo.date=$date"

# nfpm runs in a directory that looks like the repository and has generated/ beside.
stage=$(mktemp -d)
trap 'rm -rf -- "$stage"' EXIT
mkdir "$stage/bin"
go build -o "$stage/bin/" ./packaging/sbom ./packaging/changelog
go build -o "$stage/bin/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
cp -R README.md README.zh-CN.md LICENSE configs docs systemd packaging "$stage/"

rm -f -- "$out"/multica-rollup[_-]*.{deb,rpm,spdx.json} "$out/SHA256SUMS"
for arch in amd64 arm64; do
  mkdir "$stage/generated"
  GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$stage/generated/" ./cmd/multica-rollup
  GENERATED=$stage/generated TOOLS=$stage/bin packaging/generate.sh "$stage/generated/multica-rollup"
  mv "$stage/generated/sbom.spdx.json" "$out/multica-rollup_${VERSION}_$arch.spdx.json"
  for format in deb rpm; do
    config=packaging/nfpm.yaml
    if [ "$format" = deb ]; then # which has a changelog of ours among its contents
      config=packaging/nfpm.deb.yaml
      sed '/^changelog:/d' "$stage/packaging/nfpm.yaml" >"$stage/$config"
    fi
    # nfpm says on stdout what is wrong, and otherwise nothing of interest.
    (cd "$stage" && ARCH=$arch bin/nfpm package --config "$config" --packager "$format" --target "$out" >nfpm.log) ||
      { cat "$stage/nfpm.log" >&2; exit 1; }
  done
  rm -r "$stage/generated"
done
(cd "$out" && sha256sum -- multica-rollup[_-]*.{deb,rpm,spdx.json} >SHA256SUMS)
ls -1 "$out"/multica-rollup[_-]*.{deb,rpm}
