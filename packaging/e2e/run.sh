#!/usr/bin/env bash
# Builds the packages in two versions and the lab, and runs the end-to-end tests with them as root.
# E2E_RUN selects tests by regular expression. Its last line is `N passed, N failed`; TALLY_RECORD
# names a file to which the two numbers are appended.
set -euo pipefail

cd "$(dirname "$0")/../.."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1 || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    echo "e2e: booting a system needs root" >&2
    echo "hint: run make e2e as root, or give this user sudo without a password" >&2
    exit 1
  fi
  as_root=(sudo)
fi

scratch=/dev/shm # boxes are unpacked in memory if there is room for them
free=$(df --output=avail -BM "$scratch" 2>/dev/null | tr -dc '0-9\n' | tail -n 1)
[ "${free:-0}" -ge 6000 ] || scratch=${TMPDIR:-/tmp}
work=$(mktemp -d "$scratch/multica-rollup-e2e.XXXXXX")
cleanup() {
  # Boxes end with the test binary; their last files go a moment later.
  for _ in $(seq 20); do
    "${as_root[@]}" rm -rf --one-file-system -- "$work" 2>/dev/null && return
    sleep 0.5
  done
}
trap cleanup EXIT

export CGO_ENABLED=0
go build -o "$work/" ./packaging/dev/tally ./cmd/multica-lab
go test -c -tags e2e -o "$work/e2e.test" ./packaging/e2e
VERSION=0.0.1 packaging/build.sh "$work/old"
VERSION=0.0.2 packaging/build.sh "$work/new"
# One key for both, as a publisher has it.
mkdir -m 0700 "$work/keyring"
export REPO_KEY="key of the end-to-end tests"
GNUPGHOME=$work/keyring gpg --batch --quiet --pinentry-mode loopback --passphrase '' \
  --quick-generate-key "$REPO_KEY" ed25519 sign 1d 2>/dev/null
for version in old new; do
  GNUPGHOME=$work/keyring packaging/repo.sh "$work/$version" "$work/repo"
done
GNUPGHOME=$work/keyring gpgconf --kill gpg-agent

cd packaging/e2e
"${as_root[@]}" env E2E_SCRATCH="$work" E2E_OLD="$work/old" E2E_NEW="$work/new" E2E_LAB="$work/multica-lab" \
  E2E_REPO="$work/repo" \
  E2E_MIRROR="${E2E_MIRROR:-}" \
  "$work/e2e.test" -test.v=test2json -test.timeout 20m -test.run "${E2E_RUN:-.}" 2>&1 |
  go tool test2json -t -p packaging/e2e |
  "$work/tally" -v -record "${TALLY_RECORD:-}"
