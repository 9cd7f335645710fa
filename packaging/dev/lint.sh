#!/usr/bin/env bash
# Formatting, vet, staticcheck, shellcheck and file sizes. Says everything that is wrong, not the first thing.
set -euo pipefail

cd "$(dirname "$0")/../.."
readonly LONGEST=500 # lines a source file may have

status=0
fail() {
  printf 'lint: %s\n' "$*" >&2
  status=1
}

mapfile -t files < <(git ls-files --cached --others --exclude-standard)
existing=() go_files=() shell_files=()
for file in "${files[@]}"; do
  [ -f "$file" ] || continue # deleted, but not yet committed so
  existing+=("$file")
  case $file in
    *.go) go_files+=("$file") ;;
    *) if head -n 1 -- "$file" | grep -qaE '^#!.*[/ ](ba|da)?sh( |$)'; then shell_files+=("$file"); fi ;;
  esac
done

unformatted=$(gofmt -l "${go_files[@]}")
[ -z "$unformatted" ] || fail "to be formatted with gofmt -w: ${unformatted//$'\n'/ }"

# Once with the end-to-end tests, which a build tag keeps out of `go test ./...`.
go vet ./... || fail "go vet found something"
go vet -tags e2e ./packaging/e2e/... || fail "go vet -tags e2e found something"
go tool staticcheck ./... || fail "staticcheck found something"
go tool staticcheck -tags e2e ./packaging/e2e/... || fail "staticcheck -tags e2e found something"

shellcheck -- "${shell_files[@]}" || fail "shellcheck found something"

for file in "${existing[@]}"; do
  case $file in
    *.go | *.sql | *.sh) ;;
    *) [[ " ${shell_files[*]} " == *" $file "* ]] || continue ;;
  esac
  lines=$(wc -l <"$file")
  [ "$lines" -le "$LONGEST" ] || fail "$file has $lines lines, more than $LONGEST"
done

[ "$status" -eq 0 ] && echo "lint: clean (${#go_files[@]} Go files, ${#shell_files[@]} shell scripts)"
exit "$status"
