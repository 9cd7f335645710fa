#!/usr/bin/env bash
# boot.sh NAME ROOT [NSPAWN-OPTION...]: becomes a systemd-nspawn that boots the root file system ROOT.
# Runs in a mount namespace of its own, so that no mount is ever made on the host, whose init may be
# anything: the box needs a pure cgroup2 hierarchy, which the host may not have mounted.
set -euo pipefail

name=$1 root=$2
shift 2

umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$name"
echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"

# nspawn keeps files of its own here: they go when this namespace does.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn

# BPF programs enforce IPAddressDeny= and DeviceAllow= inside.
exec systemd-nspawn --quiet --boot --keep-unit --register=no --private-network --machine="$name" \
  --directory="$root" --console=pipe --timezone=off --resolv-conf=off --link-journal=no \
  --capability=CAP_BPF,CAP_PERFMON --system-call-filter=bpf "$@"
