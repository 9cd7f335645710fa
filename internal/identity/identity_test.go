package identity

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asVariable makes the test binary become that user and tell who it is then.
const asVariable = "IDENTITY_TEST_AS"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(asVariable); ok {
		os.Exit(child(name))
	}
	os.Exit(m.Run())
}

func child(name string) int {
	ForbidCoreDumps()
	if err := Become(name); err != nil {
		fmt.Println(err)
		return 1
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		fmt.Println(err)
		return 1
	}
	// Every thread, since the kernel keeps an identity for each.
	threads := map[string]bool{}
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) < 2 {
		fmt.Println("threads:", files, err)
		return 1
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var who []string
		for line := range strings.Lines(string(status)) {
			if key, ids, _ := strings.Cut(line, ":"); key == "Uid" || key == "Gid" || key == "Groups" {
				who = append(who, key+strings.Join(strings.Fields(ids), ","))
			}
		}
		threads[strings.Join(who, " ")] = true
	}
	for who := range threads {
		fmt.Println(who)
	}
	fmt.Println("dumpable", dumpable, "core", core.Cur, core.Max, "user", os.Getenv("PGUSER"), os.Getenv("USER"), "home", os.Getenv("HOME"), "xdg", os.Getenv("XDG_CONFIG_HOME"))
	// The way back is closed.
	if err := unix.Setuid(0); err == nil && os.Geteuid() == 0 && name == "nobody" {
		fmt.Println("became root again")
	}
	return 0
}

// become runs the test binary as that user would; it returns what the child told.
func becomeInChild(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asVariable+"="+name, "XDG_CONFIG_HOME=/root/.config", "HOME=/root", "USER=root")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestRootBecomesTheUserInEveryThreadForGood(t *testing.T) {
	got := becomeInChild(t, "nobody")
	if os.Geteuid() != 0 {
		// Not root: nothing to give up, whoever the user is.
		if want := fmt.Sprintf("Uid%d,", os.Getuid()); !strings.HasPrefix(got, want) || !strings.Contains(got, "home /root") {
			t.Errorf("got %s, want it to stay %s", got, want)
		}
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	four := func(id string) string { return strings.Join([]string{id, id, id, id}, ",") }
	want := fmt.Sprintf("Uid%s Gid%s Groups%s\ndumpable 0 core 0 0 user nobody nobody home %s xdg \n", four(nobody.Uid), four(nobody.Gid), nobody.Gid, nobody.HomeDir)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWithoutTheUserNothingChanges(t *testing.T) {
	got := becomeInChild(t, "no-such-user")
	if want := fmt.Sprintf("Uid%d,", os.Getuid()); !strings.HasPrefix(got, want) || !strings.Contains(got, "home /root xdg /root/.config") {
		t.Errorf("got %s, want it to stay %s", got, want)
	}
	if !strings.Contains(got, "dumpable 0 core 0 0") {
		t.Errorf("the memory can be dumped: %s", got)
	}
}
