// Package usage reads what Multica's Usage dashboards show from the hourly table,
// to the token, and renders it as a table, CSV or JSON. What is asked (Query), when
// that is (Interval), what is folded into one row and what is printed are pure;
// Read alone touches the database, in one read-only transaction.
package usage

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Dimension is something that usage is summed by.
type Dimension string

// The dimensions.
const (
	Agent     Dimension = "agent"
	Project   Dimension = "project"
	Model     Dimension = "model"
	Provider  Dimension = "provider"
	Runtime   Dimension = "runtime"
	Workspace Dimension = "workspace"
)

// Dimensions returns all dimensions, in the order in which a table shows them.
func Dimensions() []Dimension {
	return []Dimension{Workspace, Agent, Project, Runtime, Provider, Model}
}

// The periods that usage may be broken down into; "" is the whole interval.
const (
	Day   = "day"
	Week  = "week" // from Monday
	Month = "month"
)

// Periods returns all periods.
func Periods() []string { return []string{Day, Week, Month} }

// Query is what is asked.
type Query struct {
	By       []Dimension
	Per      string // one of Periods, or ""
	Timezone string // known to PostgreSQL and to Go
	When     When
	// Filters keep what matches one of the values, ids or names; no values keep all.
	// Providers match in any case, models as they are.
	Filters map[Dimension][]string
}

// Has says whether usage is summed by d.
func (q Query) Has(d Dimension) bool { return slices.Contains(q.By, d) }

// DateLayout is how dates are read and written.
const DateLayout = time.DateOnly

// When says which local dates are asked for: the last Days, the last Weeks
// (calendar weeks, the current one partial), or Since to Until; one of the three.
type When struct {
	Days, Weeks  int
	Since, Until string // DateLayout, both inclusive; Until "" is today
}

// The most days and weeks: a century.
const (
	MostDays  = 36_600
	MostWeeks = 5_200
)

// Check returns what is impossible in w, nil where nothing is.
func (w When) Check() error {
	since, sinceErr := date(w.Since)
	until, untilErr := date(w.Until)
	switch {
	case w.Days < 0 || w.Days > MostDays:
		return fmt.Errorf("--days is %d: want 1 to %d", w.Days, MostDays)
	case w.Weeks < 0 || w.Weeks > MostWeeks:
		return fmt.Errorf("--weeks is %d: want 1 to %d", w.Weeks, MostWeeks)
	case w.Days > 0 && w.Weeks > 0:
		return errors.New("--days cannot be combined with --weeks")
	case (w.Days > 0 || w.Weeks > 0) && (w.Since != "" || w.Until != ""):
		return errors.New("--days and --weeks cannot be combined with --since and --until")
	case w.Until != "" && w.Since == "":
		return errors.New("--until needs --since")
	case w.Since != "" && sinceErr != nil:
		return errors.New("--since is not a date of the form YYYY-MM-DD")
	case w.Until != "" && untilErr != nil:
		return errors.New("--until is not a date of the form YYYY-MM-DD")
	case w.Until != "" && until.Before(since):
		return fmt.Errorf("--until %s is before --since %s", w.Until, w.Since)
	case w == (When{}):
		return errors.New("no interval is given")
	}
	return nil
}

func date(s string) (time.Time, error) { return time.Parse(DateLayout, s) }

// Interval returns the first and the last local date, given today's.
func (w When) Interval(today time.Time) (from, to time.Time) {
	switch {
	case w.Days > 0:
		return today.AddDate(0, 0, 1-w.Days), today
	case w.Weeks > 0:
		return monday(today).AddDate(0, 0, 7*(1-w.Weeks)), today
	}
	from, _ = date(w.Since) // Check has read it
	if w.Until == "" {
		return from, today
	}
	to, _ = date(w.Until)
	return from, to
}

// periodOf returns the first date of the period that a date is in, "" for no period.
func periodOf(day, per string) string {
	if per != Week && per != Month {
		return day
	}
	d, err := date(day)
	if err != nil {
		return day // of a year that has more than four digits, which no interval reaches
	}
	if per == Month {
		return d.AddDate(0, 0, 1-d.Day()).Format(DateLayout)
	}
	return monday(d).Format(DateLayout)
}

// monday returns the first day of a date's week.
func monday(d time.Time) time.Time { return d.AddDate(0, 0, -((int(d.Weekday()) + 6) % 7)) }
