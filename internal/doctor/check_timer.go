package doctor

import (
	"context"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// timerCheck: the timer ships disabled, and a started one is forgotten at boot.
func timerCheck() Check {
	return Check{ID: "timer", Title: "the timer is enabled and fires", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		u, err := env.units(ctx)
		if err != nil {
			return env.unknown(err)
		}
		if u == nil || u.Timer == nil {
			return well("no systemd timer on this host")
		}
		t := u.Timer
		others, err := env.schedulers(ctx)
		if err != nil {
			return env.unknown(err)
		}
		switch {
		case !t.Enabled && !t.Active && len(others) > 0:
			return well("%s is off; %s rolls up", t.Name, others[0].what)
		case t.Masked: // which stopped it
			return critical(Fix{Command: "systemctl unmask " + t.Name + " && systemctl enable --now " + t.Name},
				"%s is masked, so nothing can start it, and nobody else rolls up", t.Name)
		case !t.Enabled && !t.Active:
			return critical(Fix{Command: "systemctl enable --now " + t.Name}, "%s is not enabled, and nobody else rolls up", t.Name)
		case !t.Active:
			return critical(Fix{Command: "systemctl start " + t.Name}, "%s is enabled but stopped", t.Name)
		case !t.Enabled:
			return warning(Fix{Command: "systemctl enable " + t.Name}, "%s runs but is not enabled: it will be gone after a reboot", t.Name)
		}
		now := env.Now()
		if working := u.Service != nil && u.Service.Working(); !working && (t.Next.IsZero() || now.Sub(t.Next) > env.Limits.LastRun) {
			f := critical(Fix{Command: "systemctl restart " + t.Name}, "%s does not fire", t.Name).
				with("last at %s, next at %s, now %s", report.Stamp(t.Last), report.Stamp(t.Next), report.Stamp(now))
			if t.Next.IsZero() && len(t.Overrides) > 0 { // started again, it would fire once and never more
				f.Fix = revert("restart", t.Name)
				f = f.with("what overrides the package's timer, and is deleted by the fix: %s", strings.Join(t.Overrides, ", "))
			}
			return f
		}
		return well("%s is next at %s", t.Name, report.Stamp(t.Next))
	}}
}

// revert takes away what the administrator put over a unit of the package's, and
// then starts it.
func revert(verb, unit string) *Fix {
	return &Fix{Command: "systemctl revert " + unit + " && systemctl " + verb + " " + unit}
}
