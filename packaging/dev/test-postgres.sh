#!/usr/bin/env bash
# test-postgres.sh VERSION...: runs the tests that use a database on these major versions of PostgreSQL.
# With RACE=1 under the race detector, and with them the packages that start goroutines. Its output ends
# with a line `N passed, N failed` for each version.
set -euo pipefail

cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || { printf 'test-postgres: no version\nhint: PG=17 make test-postgres\n' >&2; exit 64; }

uses_database() {
  go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
    awk '/ [^ ]*\/internal\/lab(\/labtest)?( |$)/ { print $1 }'
}
starts_goroutines() {
  local module directory
  module=$(go list -m)
  git grep -lE '^[[:space:]]*go (func\(|[[:alpha:]_])|\.Go\(|\.Parallel\(\)' -- '*.go' ':!packaging/e2e' |
    while read -r directory; do printf '%s/%s\n' "$module" "$(dirname "$directory")"; done
}

flags=(-count=1 -timeout 80m)
mapfile -t packages < <(uses_database)
if [ "${RACE:-}" = 1 ]; then
  export CGO_ENABLED=1
  flags+=(-race)
  mapfile -t packages < <({ printf '%s\n' "${packages[@]}"; starts_goroutines; } | sort -u)
fi
[ ${#packages[@]} -gt 1 ] || { echo "test-postgres: the tree has no such package" >&2; exit 1; }

status=0
for version in "$@"; do
  printf 'PostgreSQL %s\n' "$version"
  MULTICA_LAB_POSTGRES=$version packaging/dev/test.sh "${flags[@]}" "${packages[@]}" || status=1
done
exit "$status"
