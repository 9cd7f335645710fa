package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// exits explains the exit codes that a unit of ours can end with.
var exits = map[int]string{
	1: "the work failed", 64: "the command line is wrong", 69: "no database answered", 75: "another held lock 4246 all along, or the database accepts no writes",
	77: "a privilege was missing", 78: "the configuration is wrong, or the database is none of Multica's",
	203: "the program could not be executed", 217: "the user multica-rollup does not exist", 226: "the sandbox could not be set up",
	238: "the state directory could not be made", 243: "the configuration could not be handed over",
}

// systemdsExits is from where on an exit code is systemd's own: the program was not even started.
const systemdsExits = 200

// serviceCheck: the unit's last run, as systemd saw it.
func serviceCheck() Check {
	return Check{ID: "service", Title: "the service's last run was well",
		ExplainedBy: []string{
			"config", "reach", "pooler", "standby", "read-only", "database", "privileges", "search-path", "pipeline", "constraint",
			"timer", "last-error", "lock", "watermark-future",
		},
		Run: func(ctx context.Context, env *Env) Finding {
			u, err := env.units(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if u == nil || u.Service == nil {
				return well("no systemd service on this host")
			}
			s := u.Service
			if !s.Failed() {
				return well("%s: %s", s.Name, s.Result)
			}
			why := fmt.Sprintf("%s, %d", s.Result, s.Exit)
			if text, known := exits[s.Exit]; known {
				why = fmt.Sprintf("%s (%s)", text, why)
			}
			f := critical(Fix{Command: "systemctl start " + s.Name}, "%s failed at %s: %s", s.Name, report.Stamp(s.Ended), why)
			if s.Exit >= systemdsExits && len(s.Overrides) > 0 {
				f.Fix = revert("start", s.Name)
				f = f.with("what overrides the package's service, and is deleted by the fix: %s", strings.Join(s.Overrides, ", "))
			}
			if s.Status != "" {
				f = f.with("its last word: %s", s.Status)
			}
			return f.with("see what it said: journalctl -x -u %s -n 30", s.Name)
		}}
}
