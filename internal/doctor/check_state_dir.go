package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// stateDirCheck: without it, open transactions hold the roll-up back without
// limit and an interrupted backfill begins anew.
func stateDirCheck() Check {
	return Check{ID: "state-dir", Title: "the state directory can be written and has room", Needs: []string{"config"}, Run: func(ctx context.Context, env *Env) Finding {
		dir := state.Dir(env.StateDir)
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if u, _ := env.units(ctx); u != nil && u.Service != nil && env.Config.Origin["state_dir"] == config.DefaultOrigin {
				return well("systemd makes it when the service first runs")
			}
			if canBeMade(dir) {
				return well("the first run makes %s", dir)
			}
			return warning(makeDir(dir), "the state directory %s does not exist and cannot be made: nothing is remembered between runs", dir)
		case errors.Is(err, unix.ENOTDIR) || err == nil && !info.IsDir():
			return warning(Fix{Advice: "set state_dir in " + orDefault(env.Config.Path, "the configuration") + " to a directory"}, "the state directory %s is none: nothing is remembered between runs", dir)
		case err != nil:
			return env.unknown(err)
		}
		// As root everything can be written: what the mode says counts for the service alone.
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil || info.Mode().Perm()&0o200 == 0 {
			return warning(makeDir(dir), "the state directory %s cannot be written (mode %04o): nothing is remembered between runs", dir, info.Mode().Perm())
		}
		var fsys unix.Statfs_t
		if err := unix.Statfs(dir, &fsys); err != nil {
			return env.unknown(err)
		}
		free := fsys.Bavail * uint64(fsys.Bsize)
		if free < env.Limits.FreeDisk || fsys.Files > 0 && fsys.Ffree == 0 {
			return warning(Fix{Advice: "make room on the file system of " + dir},
				"the file system of %s is full: %d MiB and %d files are left", dir, free>>20, fsys.Ffree)
		}
		return well("%s, %d MiB free", dir, free>>20)
	}}
}

// canBeMade says whether the nearest directory above that exists can be written.
func canBeMade(dir string) bool {
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if info, err := os.Stat(dir); err == nil {
			return info.IsDir() && unix.Access(dir, unix.W_OK|unix.X_OK) == nil
		}
	}
	return false
}

// makeDir makes the directory that of whoever looks: the service's user, where it exists.
func makeDir(dir string) Fix {
	owner, group := strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return Fix{Command: "install -d -m 0750 -o " + shellWord(owner) + " -g " + shellWord(group) + " " + shellWord(dir)}
}
