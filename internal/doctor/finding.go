package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

func well(format string, args ...any) Finding {
	return Finding{Verdict: OK, Summary: fmt.Sprintf(format, args...)}
}

func warning(fix Fix, format string, args ...any) Finding {
	return Finding{Verdict: Warning, Fix: &fix, Summary: fmt.Sprintf(format, args...)}
}

func critical(fix Fix, format string, args ...any) Finding {
	return Finding{Verdict: Critical, Fix: &fix, Summary: fmt.Sprintf(format, args...)}
}

// unknown is a check that met an error of its own.
func (e *Env) unknown(err error) Finding {
	if errors.Is(err, context.DeadlineExceeded) { // of examine
		return Finding{Verdict: Unknown, Summary: fmt.Sprintf("could not be checked: no answer within %s", checkTimeout),
			Fix: &Fix{Advice: "see whether the database server hangs, or the host it runs on"}}
	}
	if e.Connector != nil {
		err = e.Connector.Explain(err)
	}
	f := Finding{Verdict: Unknown, Summary: "could not be checked: " + err.Error()}
	if hint := problem.HintOf(err); hint != "" {
		f.Fix = &Fix{Advice: hint}
	}
	return f
}

func (f Finding) with(format string, args ...any) Finding {
	f.Evidence = append(f.Evidence, fmt.Sprintf(format, args...))
	return f
}

func (f Finding) withAll(lines []string) Finding {
	f.Evidence = append(f.Evidence, lines...)
	return f
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord quotes a word for a shell where it needs it, so that it can be read as well.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	if strings.Contains(s, "'") && !strings.ContainsAny(s, "\"$`\\!\n") {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// count renders a number with its noun.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
