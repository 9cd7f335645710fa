// Package doctor looks for every known cause of a dashboard at zero or of a
// wrong number. Each cause is a check with a stable id; it reads only, and what
// it finds comes with evidence and with the one thing to do about it.
package doctor

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Verdict is how a check ended.
type Verdict string

// The verdicts, from the mildest. Unknown means that it could not be checked.
const (
	OK       Verdict = "ok"
	Unknown  Verdict = "unknown"
	Warning  Verdict = "warning"
	Critical Verdict = "critical"
)

// severity orders verdicts: what is known to be wrong outweighs what is not known.
func (v Verdict) severity() int {
	return slices.Index([]Verdict{OK, Unknown, Warning, Critical}, v)
}

// Worse returns the worse of two verdicts.
func Worse(a, b Verdict) Verdict {
	if b.severity() > a.severity() {
		return b
	}
	return a
}

// ExitCode returns what monitoring plugins end with: 0 ok, 1 warning, 2 critical, 3 could not check.
func (v Verdict) ExitCode() int {
	return map[Verdict]int{OK: 0, Warning: 1, Critical: 2, Unknown: 3}[v]
}

// Finding is the result of one check.
type Finding struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Verdict  Verdict  `json:"verdict"`
	Summary  string   `json:"summary"` // one line, no secret
	Evidence []string `json:"evidence,omitempty"`
	Fix      *Fix     `json:"fix,omitempty"` // nil where the verdict is ok
}

// Fix is what mends a finding. One of its fields says how; Database goes with SQL.
type Fix struct {
	Command  string `json:"command,omitempty"`  // for a shell
	SQL      string `json:"sql,omitempty"`      // for psql, as a superuser
	Database string `json:"database,omitempty"` // where to run SQL
	Setting  string `json:"setting,omitempty"`  // for the configuration file, as "key = value" or "section.key = value"
	Advice   string `json:"advice,omitempty"`   // in words, where no command can know the rest
}

// String renders the fix as it is printed.
func (f *Fix) String() string {
	switch {
	case f.Command != "":
		return f.Command
	case f.SQL != "":
		return "psql -d " + shellWord(f.Database) + " -c " + shellWord(f.SQL)
	case f.Setting != "":
		key, value, _ := strings.Cut(f.Setting, " = ")
		if section, name, ok := strings.Cut(key, "."); ok {
			key = "[" + section + "] " + name
		}
		return "in the configuration: " + key + " = " + value
	}
	return f.Advice
}

// Check is one known cause.
type Check struct {
	ID    string
	Title string // what is right when it is ok
	// Needs are checks without which this one has nothing to look at: it is not
	// run where one of them is critical or could not be checked.
	Needs []string
	// ExplainedBy are causes of which this is only a consequence: where one of
	// them is found, this finding becomes evidence of it.
	ExplainedBy []string
	Run         func(ctx context.Context, env *Env) Finding
}

// SchemaVersion is the version of Report's JSON form. It changes when a field
// changes its meaning or goes; a new field leaves it.
const SchemaVersion = 1

// Report is the outcome of all checks.
type Report struct {
	SchemaVersion int       `json:"schema_version"`
	Instance      string    `json:"instance,omitempty"`
	Target        string    `json:"target,omitempty"` // host:port/database
	Verdict       Verdict   `json:"verdict"`
	Findings      []Finding `json:"findings"` // the worst first, else in the order of the checks
	NotRun        []string  `json:"not_run,omitempty"`
	Elapsed       float64   `json:"elapsed_seconds"`
}

// checkTimeout bounds one check, whatever the server does.
const checkTimeout = 30 * time.Second

// Examine runs the checks in their order. Where only names ids, what these need
// is run as well, and told where it is not ok.
func Examine(ctx context.Context, env *Env, checks []Check, only ...string) *Report {
	began := time.Now()
	defer env.close(ctx)
	e := examination{env: env, found: map[string]int{}, blocked: map[string]bool{}}
	wanted := closure(checks, only)
	for _, c := range checks {
		if wanted[c.ID] {
			e.examine(ctx, c)
		}
	}
	r := &Report{SchemaVersion: SchemaVersion, Instance: env.Instance, Verdict: OK, NotRun: e.notRun, Elapsed: time.Since(began).Seconds()}
	if env.Connector != nil {
		r.Target = env.Connector.Target()
	}
	for _, f := range e.findings {
		if f.Verdict == OK && len(only) > 0 && !slices.Contains(only, f.ID) {
			continue
		}
		r.Verdict = Worse(r.Verdict, f.Verdict)
		r.Findings = append(r.Findings, f)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return b.Verdict.severity() - a.Verdict.severity() })
	return r
}

// examination is the work of one Examine.
type examination struct {
	env      *Env
	findings []Finding
	found    map[string]int  // of what is not ok: where it, or its cause, stands in findings
	blocked  map[string]bool // what others cannot build on
	notRun   []string
}

func (e *examination) examine(ctx context.Context, c Check) {
	if slices.ContainsFunc(c.Needs, func(id string) bool { return e.blocked[id] }) {
		e.blocked[c.ID] = true
		e.notRun = append(e.notRun, c.ID)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	f := c.Run(ctx, e.env)
	f.ID, f.Title = c.ID, c.Title
	e.env.redact(&f)
	if f.Verdict == Critical || f.Verdict == Unknown {
		e.blocked[c.ID] = true
	}
	if f.Verdict != OK {
		for _, id := range c.ExplainedBy {
			if at, ok := e.found[id]; ok {
				cause := &e.findings[at]
				cause.Evidence = append(cause.Evidence, "therefore: "+f.Summary)
				cause.Verdict = Worse(cause.Verdict, f.Verdict)
				e.found[c.ID] = at
				return
			}
		}
		e.found[c.ID] = len(e.findings)
	}
	e.findings = append(e.findings, f)
}

// closure returns the ids to run: all where only is empty, else these and what they need.
func closure(checks []Check, only []string) map[string]bool {
	byID := map[string]Check{}
	wanted := map[string]bool{}
	for _, c := range checks {
		byID[c.ID] = c
		wanted[c.ID] = len(only) == 0
	}
	var add func(id string)
	add = func(id string) {
		if c, ok := byID[id]; ok && !wanted[id] {
			wanted[id] = true
			for _, need := range c.Needs {
				add(need)
			}
		}
	}
	for _, id := range only {
		add(id)
	}
	return wanted
}
