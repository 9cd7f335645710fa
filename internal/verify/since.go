package verify

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Since is where a recount begins: at an instant, or some time ago by the
// database's clock. The zero value is the beginning of all.
type Since struct {
	At  time.Time
	Ago time.Duration
}

// sinceForms are the forms of an instant, read as UTC where they name no zone.
var sinceForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// ParseSince reads an instant (2026-01-31, 2026-01-31T12:00, RFC 3339) or a
// duration before now (36h, 30d, 2w); "" is the zero value.
func ParseSince(s string) (Since, error) {
	if s == "" {
		return Since{}, nil
	}
	for _, form := range sinceForms {
		if t, err := time.Parse(form, s); err == nil {
			return Since{At: t.UTC()}, nil
		}
	}
	ago, err := parseAgo(s)
	if err != nil || ago <= 0 {
		return Since{}, errors.New("neither a time such as 2026-01-31 or 2026-01-31T12:00 nor a duration such as 36h or 30d")
	}
	return Since{Ago: ago}, nil
}

// parseAgo is time.ParseDuration with whole days and weeks, in which people count history.
func parseAgo(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseUint(number, 10, 16)
			return time.Duration(n) * unit, err
		}
	}
	return time.ParseDuration(s)
}

// from returns the first bucket hour; now is the database's clock.
func (s Since) from(now time.Time) time.Time {
	switch {
	case s.Ago > 0:
		return now.UTC().Add(-s.Ago).Truncate(time.Hour)
	case !s.At.IsZero():
		return s.At.UTC().Truncate(time.Hour)
	}
	return earliest
}
