// Package systemd_test holds the units together: what they share is written out
// in each, so that `systemctl cat` shows all of it, and must not drift apart.
package systemd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sandbox returns the unit's text from the sandbox's comment to the end.
func sandbox(t *testing.T, unit string) string {
	t.Helper()
	_, block, found := strings.Cut(read(t, unit), "\n# The sandbox: ")
	if !found {
		t.Fatalf("%s has no sandbox", unit)
	}
	return block
}

func TestServicesShareOneSandbox(t *testing.T) {
	want := sandbox(t, "multica-rollup.service")
	units, err := filepath.Glob("multica-rollup*.service")
	if err != nil || len(units) < 7 {
		t.Fatalf("found %v, %v", units, err)
	}
	for _, unit := range units {
		if unit == "multica-rollup-backfill-resume.service" {
			continue // starts units, so it is root with a sandbox of its own
		}
		if diff := cmp.Diff(want, sandbox(t, unit)); diff != "" {
			t.Errorf("sandbox of %s (-multica-rollup.service +%s):\n%s", unit, unit, diff)
		}
	}
}

func TestStartsInQuickSuccessionAreNotRefused(t *testing.T) {
	units, err := filepath.Glob("multica-rollup*.service")
	if err != nil || len(units) < 7 {
		t.Fatalf("found %v, %v", units, err)
	}
	for _, unit := range units {
		if unit == "multica-rollup-backfill-resume.service" {
			continue // nobody starts it but the boot
		}
		head, _, _ := strings.Cut(read(t, unit), "\n[Service]\n")
		if !strings.Contains(head, "\nStartLimitIntervalSec=0\n") {
			t.Errorf("%s has a limit on its starts: five in ten seconds, and then it fails", unit)
		}
	}
}

func TestTemplatesDifferOnlyByTheirInstance(t *testing.T) {
	plain := strings.NewReplacer(
		" of %i", "",
		"/etc/multica/rollup.d/%i.toml", "/etc/multica/rollup.toml",
		"StateDirectory=multica-rollup/%i", "StateDirectory=multica-rollup",
	)
	templates, err := filepath.Glob("*@.*")
	if err != nil || len(templates) < 5 {
		t.Fatalf("found %v, %v", templates, err)
	}
	for _, template := range templates {
		unit := strings.Replace(template, "@", "", 1)
		if diff := cmp.Diff(read(t, unit), plain.Replace(read(t, template))); diff != "" {
			t.Errorf("%s and its template (-%s +%s):\n%s", unit, unit, template, diff)
		}
	}
}

func TestAServiceWithoutItsConfigurationCanSaySo(t *testing.T) {
	units, err := filepath.Glob("multica-rollup*.service")
	if err != nil || len(units) < 7 {
		t.Fatalf("found %v, %v", units, err)
	}
	for _, unit := range units {
		text := read(t, unit)
		handsOver := strings.Contains(text, "\nLoadCredential=rollup.toml:")
		if handsOver != strings.Contains(text, "\nSetCredential=rollup.toml:"+config.NoFile+"\n") {
			t.Errorf("%s does not pass %q in the place of a missing file", unit, config.NoFile)
		}
		if strings.Contains(text, "\nAssert") {
			t.Errorf("%s has an assertion: where it fails, the unit does not, and no alarm goes off", unit)
		}
	}
}

// since248 are directives that systemd 247, our floor, does not know. It would
// ignore them with a warning at every start.
var since248 = regexp.MustCompile(`(?m)^(PrivateIPC|LoadCredentialEncrypted|ImportCredential|` +
	`RestrictFileSystems|MemoryZSwapMax|RestartSteps|RestartMaxDelaySec|RestartMode|PrivatePIDs|OnSuccess|ExecSearchPath|` +
	`SetCredentialEncrypted|SystemCallLog|NoExecPaths|ExecPaths|StartupAllowedCPUs|UpheldBy|Upholds)=|%d`)

func TestUnitsStayWithinSystemd247(t *testing.T) {
	units, err := filepath.Glob("multica-rollup*.[st][ei][rm]*")
	if err != nil || len(units) < 11 {
		t.Fatalf("found %v, %v", units, err)
	}
	for _, unit := range units {
		if match := since248.FindString(read(t, unit)); match != "" {
			t.Errorf("%s uses %q, which systemd 247 does not know", unit, match)
		}
	}
}
