#!/usr/bin/env bash
# repo.sh [PACKAGES [REPOSITORY]]: adds the packages of a directory (dist) to an apt and a yum repository
# in another (dist/repo), and signs both indexes and the rpms. What is there already stays, so that old
# versions can be gone back to.
#
# REPO_KEY names the signing key in gpg's keyring. Without it a throw-away key signs, which is good for
# trying a repository out and for nothing else. The public key is put beside the indexes.
set -euo pipefail

cd "$(dirname "$0")/.."
packages=${1:-dist}
repo=${2:-dist/repo}

shopt -s nullglob
debs=("$packages"/*.deb) rpms=("$packages"/*.rpm)
if [ ${#debs[@]} -eq 0 ] && [ ${#rpms[@]} -eq 0 ]; then
  echo "repo: no package in $packages" >&2
  echo "hint: make packages" >&2
  exit 1
fi

key=${REPO_KEY:-}
if [ -z "$key" ]; then
  GNUPGHOME=$(mktemp -d)
  export GNUPGHOME
  trap 'gpgconf --kill gpg-agent; rm -rf -- "$GNUPGHOME"' EXIT
  key="throw-away key of multica-rollup"
  echo "repo: REPO_KEY is not set, signing with a throw-away key" >&2
  gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$key" ed25519 sign 1d 2>/dev/null
fi
sign() { gpg --batch --yes --quiet --local-user "$key" "$@"; }
sign_rpms() { # Debian's rpm does not know where gpg is
  local said
  said=$(rpmsign --define "_gpg_name $key" --define "__gpg $(command -v gpg)" --resign "$@" 2>&1) ||
    { printf '%s\n' "$said" >&2; return 1; }
}

mkdir -p "$repo/apt/pool" "$repo/yum"
gpg --batch --yes --quiet --export --output "$repo/multica-rollup.gpg" "$key" # for apt's signed-by
gpg --batch --yes --quiet --armor --export --output "$repo/multica-rollup.asc" "$key"

# apt: one suite, "stable", with one component.
cp -f -- "${debs[@]}" "$repo/apt/pool/"
(
  cd "$repo/apt"
  for arch in amd64 arm64; do
    index=dists/stable/main/binary-$arch
    mkdir -p "$index"
    apt-ftparchive --arch "$arch" packages pool >"$index/Packages"
    gzip -9nfk "$index/Packages"
  done
  rm -f dists/stable/{Release,Release.gpg,InRelease}
  apt-ftparchive -o APT::FTPArchive::Release::Origin=multica-rollup \
    -o APT::FTPArchive::Release::Label=multica-rollup \
    -o APT::FTPArchive::Release::Suite=stable \
    -o APT::FTPArchive::Release::Codename=stable \
    -o APT::FTPArchive::Release::Architectures="amd64 arm64" \
    -o APT::FTPArchive::Release::Components=main \
    release dists/stable >Release.new
  mv Release.new dists/stable/Release
)
sign --detach-sign --armor --output "$repo/apt/dists/stable/Release.gpg" "$repo/apt/dists/stable/Release"
sign --clearsign --output "$repo/apt/dists/stable/InRelease" "$repo/apt/dists/stable/Release"

# yum: one repository a machine architecture, which $basearch names. The rpms there are signed copies;
# one that was published stays as it is, since another signature makes another file of it.
header() { rpm -qp --nosignature --queryformat '%{SHA256HEADER}' "$1"; }
for rpm in "${rpms[@]}"; do
  arch=${rpm%.rpm}
  arch=${arch##*.}
  target=$repo/yum/$arch/$(basename "$rpm")
  mkdir -p "$repo/yum/$arch"
  if [ ! -e "$target" ] || [ "$(header "$target")" != "$(header "$rpm")" ]; then
    cp -f -- "$rpm" "$target"
    sign_rpms "$target"
  fi
done
if [ -z "${REPO_KEY:-}" ]; then
  sign_rpms "$repo"/yum/*/*.rpm # those of an earlier throw-away key, too
fi
for dir in "$repo"/yum/*/; do
  createrepo_c --quiet "$dir" # --update would go by size and time, and miss another signature
  sign --detach-sign --armor --output "${dir}repodata/repomd.xml.asc" "${dir}repodata/repomd.xml"
done
echo "repo: apt and yum repositories in $repo"
