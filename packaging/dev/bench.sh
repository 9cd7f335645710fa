#!/usr/bin/env bash
# bench.sh [PACKAGE...]: runs the benchmarks. BENCH selects them by regular expression, BENCHTIME says how long each runs.
set -euo pipefail

cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- ./...
go test -run '^$' -bench "${BENCH:-.}" -benchtime "${BENCHTIME:-1s}" -benchmem -timeout 60m "$@"
