#!/usr/bin/env bash
# image.sh [DIR]: builds the container image for each of ARCH ("amd64 arm64"; default: this machine's)
# and writes it to DIR (default dist/) as an archive that docker, podman and containerd load.
#
# VERSION names the build, "devel" if unset. Needs buildah, and this machine's CA certificates, which are
# those of the image. Nothing is downloaded but Go modules, no daemon is involved, and buildah's own
# storage is left alone.
set -euo pipefail

cd "$(dirname "$0")/.."
read -ra archs <<<"${ARCH:-$(go env GOARCH)}"
version=${VERSION:-devel}
dir=${1:-dist}
for arch in "${archs[@]}"; do
  case $arch in
    amd64 | arm64) ;;
    *)
      printf "image: unknown architecture '%s'\nhint: ARCH=amd64, ARCH=arm64 or ARCH='amd64 arm64'\n" "$arch" >&2
      exit 64
      ;;
  esac
done
command -v buildah >/dev/null || {
  printf 'image: buildah is missing\nhint: apt-get install buildah uidmap\n' >&2
  exit 1
}
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || {
  printf 'image: there is no %s\nhint: apt-get install ca-certificates\n' "$certificates" >&2
  exit 1
}

mkdir -p "$dir"
dir=$(realpath "$dir")
work=$(mktemp -d)
# Without root the files belong to ids of a user namespace: only in there can they be removed.
run=()
[ "$(id -u)" -eq 0 ] || run=(buildah unshare)
trap '"${run[@]}" rm -rf -- "$work"' EXIT

mkdir -p "$work/context/tree/var/lib" "$work/context/tree/etc/ssl/certs" "$work/context/state"
install -m 0644 "$certificates" "$work/context/tree$certificates"
info=github.com/multica-rollup/multica-rollup/internal/buildinfo
source=https://github.com/multica-rollup/multica-rollup
commit=$(git rev-parse HEAD 2>/dev/null || :) # none in an unpacked source archive
date=$(date -u -d "@$(git log -1 --format=%ct 2>/dev/null || echo 0)" +%Y-%m-%dT%H:%M:%SZ)
tag=multica-rollup:${version#v}
# vfs needs neither overlay mounts nor fuse, so this works inside of containers too.
store=(buildah --storage-driver vfs --root "$work/root" --runroot "$work/run")

for arch in "${archs[@]}"; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X $info.version=${version#v} -X $info.commit=$commit" -o "$work/context/multica-rollup" ./cmd/multica-rollup
  # A fixed time: the same source and the same certificates make the same layer.
  "${store[@]}" build --quiet --isolation chroot --format docker --platform "linux/$arch" --timestamp 0 \
    --label org.opencontainers.image.title=multica-rollup \
    --label org.opencontainers.image.description="keeps the usage tables of a self-hosted Multica right" \
    --label org.opencontainers.image.version="${version#v}" \
    --label org.opencontainers.image.revision="$commit" \
    --label org.opencontainers.image.created="$date" \
    --label org.opencontainers.image.licenses=Apache-2.0 \
    --label org.opencontainers.image.url="$source" \
    --label org.opencontainers.image.source="$source" \
    --label org.opencontainers.image.documentation="$source/blob/main/docs/guide.md" \
    --tag "$tag" --file packaging/Containerfile "$work/context" >/dev/null
  archive=$dir/multica-rollup_${version}_${arch}.image.tar
  rm -f -- "$archive"
  "${store[@]}" push --quiet "$tag" "docker-archive:$archive:$tag"
  printf '%s\n' "$archive"
done
