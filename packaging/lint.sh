#!/usr/bin/env bash
# lint.sh [DIRECTORY]: lintian and rpmlint on the packages in DIRECTORY (dist). No error and no warning
# passes but those that packaging/lintian/overrides and packaging/rpm/rpmlint.toml give a reason for.
set -euo pipefail

cd "$(dirname "$0")/.."
dist=${1:-dist}
shopt -s nullglob
debs=("$dist"/*.deb) rpms=("$dist"/*.rpm)
if [ ${#debs[@]} -eq 0 ] || [ ${#rpms[@]} -eq 0 ]; then
  echo "lint: no packages in $dist" >&2
  echo "hint: make packages" >&2
  exit 1
fi

# Both unpack what they look at, rpmlint with the absolute names in it: not as root.
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cp -- "${debs[@]}" "${rpms[@]}" packaging/rpm/rpmlint.toml "$work/"
chmod -R a+rX "$work"
unprivileged=()
if [ "$(id -u)" -eq 0 ]; then
  chown -R nobody "$work"
  unprivileged=(runuser -u nobody -- env "HOME=$work" "TMPDIR=$work")
fi
cd "$work" # the checkout may be where that user may not go

faults=0
"${unprivileged[@]}" lintian --fail-on error,warning "$work"/*.deb || faults=1

# rpmlint ends with 0 for warnings.
report=$("${unprivileged[@]}" rpmlint --config "$work/rpmlint.toml" "$work"/*.rpm) || faults=1
if ! grep -q ' 0 errors, 0 warnings' <<<"$report"; then
  faults=1
fi
if [ "$faults" -ne 0 ]; then
  printf '%s\n' "$report"
  exit 1
fi
echo "lint: ${#debs[@]} deb and ${#rpms[@]} rpm without errors or warnings"
