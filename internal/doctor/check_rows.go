package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// rowsCheck: what is not seen would be rolled up as zero.
func rowsCheck() Check {
	return Check{ID: "rows", Title: "the role sees every row of Multica's own tables", Needs: []string{"search-path"}, Run: func(_ context.Context, env *Env) Finding {
		return env.refused(well("nothing hides rows"), pipeline.Scattered, pipeline.NoTable, pipeline.Unreadable, pipeline.RowSecurity)
	}}
}

// refused finds the first refusal of one of the causes, and is otherwise as given.
func (e *Env) refused(otherwise Finding, causes ...pipeline.Cause) Finding {
	for _, r := range e.pipe.Refusals() {
		for _, c := range causes {
			if r.Cause != c {
				continue
			}
			fix := Fix{Advice: r.Words}
			if r.SQL != "" {
				fix = e.sql(r.SQL)
			}
			f := critical(fix, "%s", r.Text)
			if r.SQL != "" {
				f = f.with("to be run %s", r.Who)
			}
			return f
		}
	}
	return otherwise
}
