#!/bin/sh
# postun: $1 is 0 on removal, 1 on upgrade. On an upgrade the timers that run are
# started again, and with them a run of the new version; a backfill goes on
# undisturbed. State and user stay: rpm has no purge.
if [ "$1" -ge 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then
    /usr/lib/systemd/systemd-update-helper mark-restart-system-units @TIMERS@ || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart @TIMER_INSTANCES@ >/dev/null 2>&1 || :
        [ -x /usr/lib/systemd/systemd-update-helper ] ||
            systemctl try-restart @TIMERS@ >/dev/null 2>&1 || :
    else
        systemctl reset-failed 'multica-rollup*' >/dev/null 2>&1 || :
    fi
fi
if [ "$1" -eq 0 ]; then
    journalctl --update-catalog >/dev/null 2>&1 || :
fi
