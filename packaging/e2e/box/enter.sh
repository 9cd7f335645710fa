#!/usr/bin/env bash
# enter.sh NAME LEADER CMD...: runs CMD inside the box NAME, whose PID 1 is LEADER as the host counts.
# Standard input, output and the exit code are CMD's.
#
# CMD joins a cgroup of the box, else the box's systemd and journald see it outside of their tree. Only
# a process of the box's PID namespace may: any other is PID 0 in there, at which `systemctl status`
# stumbles. Hence two steps, the second of which forks nothing.
set -euo pipefail

name=$1 leader=$2
shift 2

umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup

# shellcheck disable=SC2016 # expanded by the inner shell
exec nsenter --target "$leader" --pid -- bash -c '
  set -eu
  group=/sys/fs/cgroup/$1/payload/e2e-exec leader=$2
  shift 2
  mkdir -p "$group"
  echo 0 >"$group/cgroup.procs"
  exec nsenter --target "$leader" --root --wd --mount --uts --ipc --cgroup --net -- \
    env -i HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8 TERM=dumb \
    DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
  ' bash "$name" "$leader" "$@"
