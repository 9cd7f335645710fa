// Package identity decides as which system user the program works.
//
// The service runs as its own user. Where an administrator starts the program by
// hand as root, it reads the root-only configuration and then becomes that same
// user: peer authentication sees one role, and the files of the state directory
// have one owner.
package identity

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// ServiceUser is the system user that the packages create.
const ServiceUser = "multica-rollup"

// ForbidCoreDumps keeps the process's memory, and with it the DSN, out of core
// files and out of other processes' reach. It cannot usefully fail: where the
// kernel refuses, the program is no worse off than without it.
func ForbidCoreDumps() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// Become makes the process the named user, with that user's groups only. It
// does nothing unless the process is root and the user exists (it does where a
// package is installed).
func Become(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup(name)
	if unknown := (user.UnknownUserError("")); errors.As(err, &unknown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up the user %s: %w", name, err)
	}
	if err := become(account); err != nil {
		return problem.Wrap(err, problem.Permission, "--as-root stays root", "becoming the user %s: %v", name, err)
	}
	return nil
}

func become(account *user.User) error {
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return fmt.Errorf("reading the user's id: %w", err)
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return fmt.Errorf("reading the group's id: %w", err)
	}
	memberships, err := account.GroupIds()
	if err != nil {
		return fmt.Errorf("reading the user's groups: %w", err)
	}
	groups := []int{gid}
	for _, membership := range memberships {
		group, err := strconv.Atoi(membership)
		if err != nil {
			return fmt.Errorf("reading the user's groups: %w", err)
		}
		if group != gid {
			groups = append(groups, group)
		}
	}
	// Package syscall applies these to every thread; the order matters, since
	// the user may change neither its groups nor its group.
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("setting the groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("setting the group: %w", err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("setting the user: %w", err)
	}
	// A change of user makes the process dumpable again where fs.suid_dumpable says so.
	ForbidCoreDumps()
	return setEnvironment(account)
}

// setEnvironment makes what is derived from the user's name and home (libpq's
// password and service files) that of the new user.
func setEnvironment(account *user.User) error {
	variables := map[string]string{"HOME": account.HomeDir, "USER": account.Username, "LOGNAME": account.Username}
	// The role is that of the system user where nothing names one. The driver asks
	// os/user, which keeps its first answer for the life of the process: root.
	if os.Getenv("PGUSER") == "" {
		variables["PGUSER"] = account.Username
	}
	for key, value := range variables {
		if err := os.Setenv(key, value); err != nil {
			return fmt.Errorf("setting %s: %w", key, err)
		}
	}
	for _, key := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"} {
		if err := os.Unsetenv(key); err != nil {
			return fmt.Errorf("clearing %s: %w", key, err)
		}
	}
	return nil
}
