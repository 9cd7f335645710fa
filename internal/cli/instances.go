package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/identity"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// instancesDir is where, beside the configuration file, further databases have
// theirs: NAME.toml, which multica-rollup@NAME.service reads.
const instancesDir = "rollup.d"

// instance is one of the databases that this host looks after.
type instance struct {
	Name   string         // "" is the one of rollup.toml
	Path   string         // of its configuration
	Loaded *config.Loaded // nil where Err is set
	Err    error          // what is wrong with its configuration
}

// Label names the instance to people.
func (i instance) Label() string {
	if i.Name == "" {
		return "default"
	}
	return i.Name
}

// instanceName returns the NAME of .../rollup.d/NAME.toml, "" for any other path.
func instanceName(path string) string {
	directory, file := filepath.Split(path)
	if filepath.Base(directory) != instancesDir {
		return ""
	}
	name, ok := strings.CutSuffix(file, ".toml")
	if !ok {
		return ""
	}
	return name
}

// unitNames returns the units that work by a configuration file; false where it is none that units read.
func unitNames(path string) (units.Names, bool) {
	name := instanceName(path)
	packaged := config.DefaultPath
	if name != "" {
		packaged = filepath.Join(filepath.Dir(config.DefaultPath), instancesDir, name+".toml")
	}
	return units.For(name), path == packaged
}

// instanceStateDir is where an instance keeps its state, unless told: as its
// units have it (StateDirectory=multica-rollup/NAME), below that of the host.
func instanceStateDir(loaded *config.Loaded) string {
	name := instanceName(loaded.Path)
	if loaded.StateDir != "" || name == "" || os.Getenv("STATE_DIRECTORY") != "" {
		return loaded.StateDir
	}
	return filepath.Join(state.Dir(""), name)
}

// inspectState returns what is remembered of a database, for reading alone.
func (a *app) inspectState(p *pipeline.Pipeline, target string) *state.Store {
	return state.Inspect(state.Dir(a.loaded.StateDir), state.Key(p.SystemIdentifier, target, p.Database, p.Others...), target)
}

// ownVariables of the environment would give every instance the same database.
var ownVariables = []string{"MULTICA_ROLLUP_DSN=", "MULTICA_ROLLUP_DSN_FILE=", "MULTICA_ROLLUP_STATE_DIR=", "DATABASE_URL="}

// instances loads the configuration of every database of this host: the
// configuration file's, where it exists, and those of rollup.d beside it, in the
// order of their names. All are read before root's rights are given up.
func (a *app) instances(cmd *cobra.Command) ([]instance, error) {
	if a.all != nil {
		return a.all, nil // --watch: the rights to read them again are gone
	}
	main := a.configPath
	if main == "" {
		main = config.DefaultPath
	}
	paths, err := filepath.Glob(filepath.Join(globEscape(filepath.Dir(main)), instancesDir, "*.toml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	if _, err := os.Stat(main); err == nil || len(paths) == 0 || a.configPath != "" {
		paths = append([]string{main}, paths...)
	}
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return slices.ContainsFunc(ownVariables, func(name string) bool { return strings.HasPrefix(entry, name) })
	})
	var all []instance
	for _, path := range paths {
		i := instance{Name: instanceName(path), Path: path}
		i.Loaded, i.Err = config.Load(config.Options{
			Path: path, Explicit: true, Env: env, Flags: cmd.Flags(), Credential: unitCredential(cmd.Context(), path),
		})
		all = append(all, i)
	}
	if !a.asRoot {
		if err := identity.Become(identity.ServiceUser); err != nil {
			return nil, err
		}
	}
	for _, i := range all {
		if i.Err == nil {
			i.Loaded.StateDir = instanceStateDir(i.Loaded)
		}
	}
	a.all = all
	return all, nil
}

// wrongFlag returns what is wrong with the command line, which is no finding
// about a database and the same for every one.
func wrongFlag(all []instance) error {
	for _, i := range all {
		if i.Err != nil && problem.KindOf(i.Err) == problem.Usage {
			return i.Err
		}
	}
	return nil
}

// globEscape makes a path mean itself in a pattern.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// of returns the program as it is for one instance, with its configuration
// loaded; or what is wrong with that. Commands with --all call their own work on it.
func (a *app) of(i instance) (*app, error) {
	if i.Err != nil {
		return nil, i.Err
	}
	own := *a
	own.configPath, own.loaded, own.opened = i.Path, i.Loaded, nil
	own.setLog(i.Loaded.Config, own.redact)
	for _, warning := range i.Loaded.Warnings {
		own.log().Warn(i.Label() + ": " + warning)
	}
	return &own, nil
}
