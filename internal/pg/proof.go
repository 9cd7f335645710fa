package pg

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// server is who gave an answer, in the server's own words.
type server struct{ recovery, pid, started string }

// String describes the server in a few words.
func (s server) String() string {
	role := "the primary"
	if s.recovery == "true" {
		role = "a standby"
	}
	started := "at a time unknown"
	if seconds, err := strconv.ParseFloat(s.started, 64); err == nil {
		started = time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s started %s, process %s", role, started, s.pid)
}

// SplitError: the answers within one transaction came from two servers, or from two sessions of one.
type SplitError struct{ first, then server }

func (e *SplitError) Error() string {
	return fmt.Sprintf("one transaction was answered by two servers: %s; %s", e.first, e.then)
}

// StandbyError: a transaction that decides what is written, or writes, was begun on a server in recovery.
type StandbyError struct{}

func (e *StandbyError) Error() string { return "the server is a read-only standby" }

// proofs are the columns before those of a statement's own: the server's three, and whether there is a row.
const proofs = 4

// proven returns the statement that answers sql and proves its server.
func proven(sql string) string { return statements.Text("proven", sql) }

// proves compares who answered with who answered first.
func (t *transaction) proves(recovery, pid, started []byte) error {
	who := server{string(recovery), string(pid), string(started)}
	switch {
	case t.server == server{}:
		t.server = who
	case t.server != who:
		return &SplitError{first: t.server, then: who}
	}
	if t.decides && who.recovery == "true" {
		return &StandbyError{}
	}
	return nil
}

// Query runs a statement. One that reads proves which server answered it.
func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if !reads(sql) {
		return t.conn.Query(ctx, sql, args...)
	}
	rows, err := t.conn.Query(ctx, proven(sql), args...)
	if err != nil {
		return rows, err
	}
	return &provenRows{Rows: rows, of: t}, nil
}

// QueryRow is Query for a statement of one row.
func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := t.Query(ctx, sql, args...)
	return &provenRow{rows: rows, err: err}
}

// Exec runs a statement whose rows are of no interest. One that reads, such as one that takes a lock, proves
// which server carried it out.
func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if !reads(sql) {
		return t.conn.Exec(ctx, sql, args...)
	}
	rows, err := t.Query(ctx, sql, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	for rows.Next() {
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// provenRows are the rows of a statement without the columns that prove the server.
type provenRows struct {
	pgx.Rows
	of  *transaction
	err error
}

// Next checks who answered before the row may be read.
func (r *provenRows) Next() bool {
	if r.err != nil || !r.Rows.Next() {
		return false
	}
	raw := r.Rows.RawValues()
	if r.err = r.of.proves(raw[0], raw[1], raw[2]); r.err != nil {
		r.Rows.Close()
		return false
	}
	if raw[proofs-1] == nil { // the answer has no row
		return r.Rows.Next()
	}
	return true
}

func (r *provenRows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}

func (r *provenRows) FieldDescriptions() []pgconn.FieldDescription {
	all := r.Rows.FieldDescriptions()
	return all[min(proofs, len(all)):]
}

func (r *provenRows) Scan(dest ...any) error {
	if len(dest) == 1 {
		if whole, ok := dest[0].(pgx.RowScanner); ok {
			return whole.ScanRow(r)
		}
	}
	return r.Rows.Scan(append(make([]any, proofs, proofs+len(dest)), dest...)...) // nil skips a column
}

func (r *provenRows) Values() ([]any, error) {
	all, err := r.Rows.Values()
	if err != nil {
		return nil, err
	}
	return all[proofs:], nil
}

func (r *provenRows) RawValues() [][]byte { return r.Rows.RawValues()[proofs:] }

// provenRow is the first row of a statement.
type provenRow struct {
	rows pgx.Rows
	err  error
}

// Scan reads the row; pgx.ErrNoRows where there is none.
func (r *provenRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// reads says whether a statement only asks, so that it can be asked within another: it is a SELECT, or WITH
// whose parts are. What writes proves its server by that: no standby does. What is taken for the one and is
// the other is refused by the server at once.
func reads(sql string) bool {
	list := keywords(sql)
	if len(list) == 0 || list[0] != "select" && list[0] != "with" && list[0] != "values" {
		return false
	}
	for i, word := range list {
		var before, after string
		if i > 0 {
			before = list[i-1]
		}
		if i+1 < len(list) {
			after = list[i+1]
		}
		switch {
		case (word == "insert" || word == "merge") && after == "into", word == "delete" && after == "from":
			return false
		case word == "update" && before != "for" && before != "key": // which lock rows
			return false
		}
	}
	return true
}

// keywords returns the words of a statement in lower case, without comments, literals and quoted names.
func keywords(sql string) (list []string) {
	for sql != "" {
		switch c := sql[0]; {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql, "*/")
		case c == '\'' || c == '"':
			_, sql, _ = strings.Cut(sql[1:], string(c)) // a doubled quote makes it two
		case letter(c):
			end := 1
			for end < len(sql) && (letter(sql[end]) || sql[end] >= '0' && sql[end] <= '9') {
				end++
			}
			list = append(list, strings.ToLower(sql[:end]))
			sql = sql[end:]
		default:
			sql = sql[1:]
		}
	}
	return list
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
