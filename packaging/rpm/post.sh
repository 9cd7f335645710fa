#!/bin/sh
# post: $1 is 1 on installation, 2 on upgrade. The package's own preset disables the
# timers, whatever the distribution's policy says: they are enabled by the
# administrator's word, which may be a preset too. Nothing is started. What fails
# here must not fail the installation.
systemd-sysusers multica-rollup.conf >/dev/null 2>&1 || :
systemd-tmpfiles --create multica-rollup.conf >/dev/null 2>&1 || :
journalctl --update-catalog >/dev/null 2>&1 || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
fi
if [ "$1" -eq 1 ]; then
    if [ -x /usr/lib/systemd/systemd-update-helper ]; then
        /usr/lib/systemd/systemd-update-helper install-system-units @TIMERS@ || :
    else
        systemctl --no-reload preset @TIMERS@ >/dev/null 2>&1 || :
    fi
fi
