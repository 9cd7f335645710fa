#!/usr/bin/env bash
# test.sh [PACKAGE...]: runs the Go tests, the end-to-end ones aside, on a real PostgreSQL.
# Its last line is `N passed, N failed`. TALLY_RECORD names a file to which the two numbers are appended.
set -euo pipefail

cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- ./...

# Built first: a run of `go run` would end with a line of its own after the count.
tally=$(mktemp -d)
trap 'rm -rf -- "$tally"' EXIT
go build -o "$tally/tally" ./packaging/dev/tally

# A result out of the cache says nothing of this machine today.
go test -json -count=1 -timeout 60m "$@" | "$tally/tally" -record "${TALLY_RECORD:-}"
