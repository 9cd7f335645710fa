package labtest

import (
	"errors"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// Psql runs psql, which reads no file of the user's, on a database of a server that a URL names, as the role
// that is named; "" is the URL's own. It returns all that psql said, and whether it ended with 0.
func Psql(t testing.TB, dsn, role string, args ...string) (said string, ok bool) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		u.User = url.User(role)
	}
	out, err := exec.CommandContext(t.Context(), "psql", append([]string{"-X", "-d", u.String()}, args...)...).CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatalf("psql %s: %v", strings.Join(args, " "), err)
	}
	return string(out), err == nil
}

// Script has psql run a file, and demands that it succeeds.
func Script(t testing.TB, dsn, role string, args ...string) {
	t.Helper()
	if said, ok := Psql(t, dsn, role, args...); !ok {
		t.Fatalf("psql %s:\n%s", strings.Join(args, " "), said)
	}
}
