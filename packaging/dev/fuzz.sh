#!/usr/bin/env bash
# Runs each fuzz target for FUZZTIME (30s). The go command fuzzes one target of one package at a time.
# An input is made smaller for a second at most: by default a slow target takes the whole minute for it,
# and is then told to have overrun its time.
set -euo pipefail

cd "$(dirname "$0")/../.."
found=
while read -r package; do
  while read -r target; do
    found=1
    printf '%s %s\n' "$package" "$target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 1s "$package" </dev/null
  done < <(go test -list '^Fuzz' "$package" </dev/null | grep '^Fuzz' || :)
done < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep .)
[ -n "$found" ] || {
  echo "fuzz: the tree has no fuzz target" >&2
  exit 1
}
