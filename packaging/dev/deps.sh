#!/usr/bin/env bash
# deps.sh GROUP...: installs what a group of make targets needs and is missing.
#
# Asks for each tool by name, so that a machine that has them in another way is left alone.
# Packages come from apt-get, as root or by sudo; elsewhere it ends with the list of what is missing.
set -euo pipefail

readonly OLDEST_POSTGRES=15 # the pipeline needs UNIQUE NULLS NOT DISTINCT

say() { printf '%s\n' "$*" >&2; }
die() {
  say "deps: $1"
  [ $# -lt 2 ] || say "hint: $2"
  exit 1
}

missing=() # packages to install
need() { # PACKAGE COMMAND: adds PACKAGE unless COMMAND can be found
  PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null 2>&1 || missing+=("$1")
}

newest_postgres() { # prints the newest major version whose server is installed, or 0
  local newest=0 server version
  for server in /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /usr/local/pgsql/bin/postgres "$(command -v postgres || :)"; do
    [ -x "$server" ] || continue
    version=$("$server" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
    [ "$version" -le "$newest" ] || newest=$version
  done
  printf '%s\n' "$newest"
}

need_group() {
  case $1 in
    demo)
      need_go
      [ "$(newest_postgres)" -ge "$OLDEST_POSTGRES" ] || missing+=(postgresql)
      ;;
    test)
      need_group demo
      need_group image
      need mount mount # not in the smallest of roots
      need pgbouncer pgbouncer
      need prometheus promtool
      need faketime faketime # a clock that tests can set
      need_pg_cron
      ;;
    image)
      need_go
      need buildah buildah
      need uidmap newuidmap
      # Later buildahs demand it before they look whether a network is wanted at all.
      [ -x /usr/lib/podman/netavark ] || missing+=(netavark)
      ;;
    race)
      need gcc gcc
      [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
      ;;
    lint)
      need_go
      need shellcheck shellcheck
      need git git
      ;;
    packages)
      need lintian lintian
      need rpm rpm
      need rpmlint rpmlint
      ;;
    repo)
      need apt-utils apt-ftparchive
      need createrepo-c createrepo_c
      need gnupg gpg
      ;;
    e2e)
      need_go
      need mmdebstrap mmdebstrap
      need systemd-container systemd-nspawn
      need zstd zstd
      need iproute2 ip
      need_group demo # the network's database runs on this host
      [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
      ;;
    *) die "unknown group '$1'" "demo, test, image, race, lint, packages, repo or e2e" ;;
  esac
}

need_go() {
  command -v go >/dev/null 2>&1 ||
    die "go is missing" "install Go, at least the version that go.mod names, and put it on the PATH"
}

# The extension is packaged for each version of the server, which may itself be about to be installed:
# then the second look adds it.
need_pg_cron() {
  local version
  version=$(newest_postgres)
  [ "$version" -eq 0 ] || [ -e "/usr/share/postgresql/$version/extension/pg_cron.control" ] ||
    missing+=("postgresql-$version-cron")
}

install() {
  command -v apt-get >/dev/null 2>&1 ||
    die "missing: $*" "there is no apt-get here; install these (Debian's names) with this system's package manager"
  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    # At a terminal sudo may ask for a password, elsewhere it must not need one.
    if ! command -v sudo >/dev/null 2>&1 || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      die "missing: $*" "as root: apt-get install $*"
    fi
    as_root=(sudo)
  fi
  say "deps: installing $*"
  local log
  log=$(mktemp)
  if ! "${as_root[@]}" bash -c "$apt" bash "$@" >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: $*" "its last lines are above"
  fi
  rm -f "$log"
}

# Runs as root. Wanted are the programs, not their services: tests start servers of their own.
# shellcheck disable=SC2016 # expanded by the inner shell
readonly apt='
  set -euo pipefail
  export DEBIAN_FRONTEND=noninteractive
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap "rm -f /usr/sbin/policy-rc.d" EXIT
    printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
    chmod 0755 /usr/sbin/policy-rc.d
  fi
  apt-get update # an old index names versions that the mirror no longer has
  apt-get install -y --no-install-recommends "$@"
  for package in "$@"; do
    case $package in
      pgbouncer | postgresql | prometheus) systemctl disable --quiet "$package" || : ;; # nor at the next boot
    esac
  done'

for _ in first second; do
  missing=()
  for group in "$@"; do need_group "$group"; done
  [ ${#missing[@]} -gt 0 ] || break
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  install "${missing[@]}"
done
for group in "$@"; do
  case $group in demo | test)
    [ "$(newest_postgres)" -ge "$OLDEST_POSTGRES" ] ||
      die "PostgreSQL $(newest_postgres) is too old, $OLDEST_POSTGRES or later is needed" \
        "this release packages no later one: use a newer release, or the PostgreSQL project's own packages"
    ;;
  esac
done
