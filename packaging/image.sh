#!/usr/bin/env bash
# image.sh [DIR]: builds the container image for ARCH (amd64, arm64; default: this machine's) and
# writes it to DIR (default dist/) as an archive that docker, podman and containerd load.
#
# VERSION names the build, "devel" if unset. Needs buildah. Nothing is downloaded but Go modules,
# no daemon is involved, and buildah's own storage is left alone.
set -euo pipefail

cd "$(dirname "$0")/.."
arch=${ARCH:-$(go env GOARCH)}
version=${VERSION:-devel}
dir=${1:-dist}
case $arch in
  amd64 | arm64) ;;
  *)
    printf "image: unknown architecture '%s'\nhint: ARCH=amd64 or ARCH=arm64\n" "$arch" >&2
    exit 64
    ;;
esac
command -v buildah >/dev/null || {
  printf 'image: buildah is missing\nhint: apt-get install buildah uidmap\n' >&2
  exit 1
}

mkdir -p "$dir"
archive=$(realpath "$dir")/multica-rollup_${version}_${arch}.image.tar
work=$(mktemp -d)
# Without root the files belong to ids of a user namespace: only in there can they be removed.
run=()
[ "$(id -u)" -eq 0 ] || run=(buildah unshare)
trap '"${run[@]}" rm -rf -- "$work"' EXIT

mkdir -p "$work/context/tree/var/lib" "$work/context/state"
info=github.com/multica-rollup/multica-rollup/internal/buildinfo
commit=$(git rev-parse HEAD 2>/dev/null || :) # none in an unpacked source archive
CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false \
  -ldflags "-s -w -buildid= -X $info.version=${version#v} -X $info.commit=$commit" -o "$work/context/multica-rollup" ./cmd/multica-rollup

# vfs needs neither overlay mounts nor fuse, so this works inside of containers too.
store=(buildah --storage-driver vfs --root "$work/root" --runroot "$work/run")
tag=multica-rollup:${version#v}
# A fixed time: the same source makes the same layer.
"${store[@]}" build --quiet --isolation chroot --format docker --arch "$arch" --timestamp 0 \
  --label org.opencontainers.image.title=multica-rollup \
  --label org.opencontainers.image.version="${version#v}" \
  --label org.opencontainers.image.licenses=Apache-2.0 \
  --label org.opencontainers.image.source=https://github.com/multica-rollup/multica-rollup \
  --tag "$tag" --file packaging/Containerfile "$work/context" >/dev/null
rm -f -- "$archive"
"${store[@]}" push --quiet "$tag" "docker-archive:$archive:$tag"
printf '%s\n' "$archive"
