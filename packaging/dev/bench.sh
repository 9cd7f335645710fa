#!/usr/bin/env bash
# bench.sh: measures the program beside what it replaces and writes docs/benchmarks.md.
# BENCH_ARGS are passed on to `multica-lab bench`, such as --tasks 10000,30000 or --out FILE.
set -euo pipefail

cd "$(dirname "$0")/../.."
# shellcheck disable=SC2086 # several words
exec bin/multica-lab bench --out docs/benchmarks.md ${BENCH_ARGS:-}
