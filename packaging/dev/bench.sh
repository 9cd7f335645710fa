#!/usr/bin/env bash
# bench.sh: measures the program beside what it replaces and writes docs/benchmarks.md.
# BENCH_ARGS are passed on to `multica-lab bench`, such as --tasks 10000,30000 or --out FILE.
# As root it reserves huge pages for the server and gives them back.
set -euo pipefail

cd "$(dirname "$0")/../.."
reserved=/proc/sys/vm/nr_hugepages
wanted=600 # of 2 MiB, for shared_buffers of 1 GB
huge=()
if [ -w "$reserved" ]; then
  before=$(cat "$reserved")
  trap 'echo "$before" >"$reserved"' EXIT
  echo $((before + wanted)) >"$reserved"
  [ "$(awk '/^HugePages_Free:/ { print $2 }' /proc/meminfo)" -lt "$wanted" ] || huge=(--huge-pages)
fi
# shellcheck disable=SC2086 # several words
bin/multica-lab bench --out docs/benchmarks.md "${huge[@]}" ${BENCH_ARGS:-}
