#!/bin/sh
# preun: $1 is 0 on removal, 1 on upgrade. What runs is stopped when the package
# goes, and only then; a slice at work is finished or rolled back.
if [ "$1" -eq 0 ]; then
    if [ -x /usr/lib/systemd/systemd-update-helper ]; then
        /usr/lib/systemd/systemd-update-helper remove-system-units @TIMERS@ || :
    else
        systemctl --no-reload disable --now @TIMERS@ >/dev/null 2>&1 || :
    fi
    # Instances of the templates: no glob disables them.
    for link in /etc/systemd/system/timers.target.wants/multica-rollup*@*.timer; do
        [ ! -L "$link" ] || systemctl --no-reload disable "${link##*/}" >/dev/null 2>&1 || :
    done
    if [ -d /run/systemd/system ]; then
        systemctl stop @TIMER_INSTANCES@ @SERVICES@ @SERVICE_INSTANCES@ >/dev/null 2>&1 || :
    fi
fi
