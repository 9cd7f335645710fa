#!/usr/bin/env bash
# A throw-away PostgreSQL with a Multica-shaped database and sample usage, rolled up before your eyes.
# DEMO_TASKS is the size of the history. Nothing is left behind.
set -euo pipefail

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
chmod 0755 "$work" # as root, PostgreSQL runs as another user
export PATH=$work/bin:$PATH
lab() { multica-lab --dir "$work/lab" "$@"; }
cleanup() {
  if [ -d "$work/lab" ]; then lab stop; fi
  rm -rf -- "$work"
}
trap cleanup EXIT

explain() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
[ -t 1 ] || explain() { printf '\n# %s\n' "$*"; }
show() {
  printf '$ %s\n' "$*"
  "$@" 2>&1 # logs in their place among the results, in a pipe too
}

explain "building"
packaging/dev/build.sh "$work/bin"

explain "a PostgreSQL of our own, with a year of usage that nothing has rolled up"
dsn=$(lab start)
lab seed --tasks "${DEMO_TASKS:-50000}"

# The lab's functions are not Multica's, so their fingerprints are not known, and the agent would leave
# the work to them. Here we vouch for what they do: hence the engine.
cat >"$work/rollup.toml" <<TOML
dsn = "$dsn"
engine = "set"
state_dir = "$work/state"
TOML
chmod 0600 "$work/rollup.toml"
rollup() { show multica-rollup --config "$work/rollup.toml" --as-root "$@"; }

explain "is the configuration right?"
rollup config check

explain "before: the dashboard shows nothing, and says nothing"
rollup status || : # critical, as it should be

explain "history"
rollup backfill

explain "recounted: does every hourly row equal its raw usage?"
lab oracle

explain "three seconds of a busy Multica: usage, corrections, moved and deleted issues"
lab load --duration 3s --rate 100

explain "one tick, as the timer starts it every five minutes"
rollup run

explain "after (what is younger than five minutes is the next tick's)"
rollup status || :

explain "recounted once more, but for what is not due yet"
lab oracle --settle 6m

explain "zero differences; the throw-away database goes now"
