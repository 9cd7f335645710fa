#!/bin/sh
# post: $1 is 1 on installation, 2 on upgrade. Presets are not applied: the timer
# is enabled by the administrator's word alone, whatever the distribution's
# policy says. What fails here must not fail the installation.
systemd-sysusers multica-rollup.conf >/dev/null 2>&1 || :
systemd-tmpfiles --create multica-rollup.conf >/dev/null 2>&1 || :
journalctl --update-catalog >/dev/null 2>&1 || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
fi
