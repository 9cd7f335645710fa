//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"testing"
)

// isFoundWell: of an installation that works, doctor has nothing to say but that the schema is the lab's.
func isFoundWell(t *testing.T, h *host) { wantFindings(t, h, "fingerprints: warning") }

// wantFindings compares all that doctor does not find well.
func wantFindings(t *testing.T, h *host, want ...string) {
	t.Helper()
	result := h.try(t, "sudo multica-rollup doctor --json")
	var report struct {
		Findings []struct{ ID, Verdict string }
	}
	if err := json.Unmarshal([]byte(result.Stdout), &report); err != nil || len(report.Findings) == 0 {
		t.Fatalf("doctor reports (exit code %d, %v):\n%s%s", result.Exit, err, result.Stdout, result.Stderr)
	}
	var found []string
	for _, f := range report.Findings {
		if f.Verdict != "ok" {
			found = append(found, f.ID+": "+f.Verdict)
		}
	}
	if !slices.Equal(found, want) {
		t.Errorf("doctor finds %q, want %q:\n%s", found, want, h.try(t, "sudo multica-rollup doctor").Stdout)
	}
	if result.Exit != 1 { // of a warning
		t.Errorf("doctor ends with %d, want 1", result.Exit)
	}
}
