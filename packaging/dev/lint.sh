#!/usr/bin/env bash
# Formatting, vet, staticcheck, errcheck, errorlint, nilerr, shellcheck, go.mod and file sizes. Says everything that is wrong, not the first thing.
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

# The linters are a module of their own, so that go.mod has what the program is built from and no more.
readonly TOOLS=packaging/dev/tools
lint() { go tool -modfile="$TOOLS/go.mod" "$@"; }
lint staticcheck ./... || fail "staticcheck found something"
lint staticcheck -tags e2e ./packaging/e2e/... || fail "staticcheck -tags e2e found something"

# Findings about errors, outside of tests, but for those that packaging/dev/lint-exclusions gives a reason for.
exclusions=() unused=()
while IFS= read -r line; do
  [[ $line == \#* || -z $line ]] && continue
  [[ $line == *' # '* ]] || fail "packaging/dev/lint-exclusions gives no reason: $line"
  exclusions+=("${line%% # *}")
done <packaging/dev/lint-exclusions
unused=("${exclusions[@]}")
findings() { # NAME COMMAND...: what it finds and nobody has excluded
  local name=$1 said finding i
  said=$("${@:2}" 2>&1) || [ -n "$said" ] || fail "$name ended with an error and said nothing"
  while IFS= read -r finding; do
    [ -n "$finding" ] || continue
    # Path and text, without the number of the line, which changes.
    finding=$name\ $(sed -E "s|^$PWD/||; s|:[0-9]+:[0-9]+:[[:space:]]*|: |" <<<"$finding")
    for i in "${!exclusions[@]}"; do
      # shellcheck disable=SC2053 # a pattern
      if [[ $finding == ${exclusions[i]} ]]; then
        unset "unused[i]"
        continue 2
      fi
    done
    fail "$finding"
  done <<<"$said"
}
findings errcheck lint errcheck -ignoretests ./...
findings errorlint lint go-errorlint -test=false ./...
findings nilerr lint nilerr -test=false ./...
for line in "${unused[@]}"; do fail "packaging/dev/lint-exclusions excludes what nothing finds: $line"; done

# With what is in the cache: a tidy go.mod asks for nothing else.
go mod tidy -diff >/dev/null || fail "go.mod is not tidy: go mod tidy"
for module in "$TOOLS" packaging/dev/compose; do
  go -C "$module" mod tidy -diff >/dev/null || fail "$module/go.mod is not tidy: go -C $module mod tidy"
done

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
