#!/usr/bin/env bash
# reproduce.sh [DIRECTORY]: builds the packages in DIRECTORY (dist) once more, from a copy of the source in
# another place, by a user with another umask, time zone and locale, and wants the same bytes.
set -euo pipefail

cd "$(dirname "$0")/.."
first=$(cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# The commit dates the packages; the files are those that the first build saw.
git clone --quiet --no-checkout . "$work/source"
git ls-files --cached --others --exclude-standard -z | tar --ignore-failed-read --null -T - -c 2>/dev/null |
  (umask 077 && tar --no-same-permissions -xC "$work/source")

version=$(basename "$first"/multica-rollup_*_amd64.spdx.json)
version=${version#multica-rollup_}
version=${version%_amd64.spdx.json}
(
  umask 077
  cd "$work/source"
  export TZ=Asia/Kathmandu LC_ALL=C VERSION="$version"
  packaging/build.sh "$work/second" >/dev/null
)
if ! diff "$first/SHA256SUMS" "$work/second/SHA256SUMS" >&2; then
  echo "reproduce: two builds of $version differ" >&2
  exit 1
fi
(cd "$first" && sha256sum --check --quiet --strict SHA256SUMS)
echo "reproduce: two builds of $version, $(wc -l <"$first/SHA256SUMS") files with the same bytes"
