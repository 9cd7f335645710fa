package doctor

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// configCheck: nothing works without a DSN, and the file holds a password.
func configCheck() Check {
	return Check{ID: "config", Title: "the configuration is valid and private", Run: func(_ context.Context, env *Env) Finding {
		if env.ConfigErr != nil {
			lines := strings.Split(env.ConfigErr.Error(), "\n")
			advice := Fix{Advice: problem.HintOf(env.ConfigErr)}
			if problem.KindOf(env.ConfigErr) == problem.Permission {
				advice = Fix{Command: "sudo multica-rollup doctor"}
			}
			if advice.Advice == "" && advice.Command == "" {
				advice = env.command("config check")
			}
			return critical(advice, "%s", lines[0]).withAll(lines[1:])
		}
		path := env.Config.Path
		if len(env.Config.Warnings) > 0 {
			return warning(Fix{Command: "chmod 0600 " + shellWord(secretFile(env.Config))}, "%s", env.Config.Warnings[0]).withAll(env.Config.Warnings[1:])
		}
		if path == "" {
			return well("the DSN comes from %s", env.Config.Origin["dsn"])
		}
		info, err := os.Stat(path)
		if err != nil && !errors.Is(err, os.ErrPermission) {
			return env.unknown(err)
		}
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 { // /dev/null is nobody's configuration
			return warning(Fix{Command: "chmod 0600 " + shellWord(path)},
				"%s can be written by others (mode %04o): who may write it chooses the database", path, info.Mode().Perm())
		}
		return well("%s is valid and private", path)
	}}
}

// secretFile is the file that the loader warned about: the DSN's own where there is one.
func secretFile(c *config.Loaded) string {
	if c.DSNFile != "" && strings.HasPrefix(c.Warnings[0], c.DSNFile+" ") {
		return c.DSNFile
	}
	return c.Path
}
