// Package session is one connection to Multica's database and what goes with
// it: what the database is, what the agent remembers of it, and the patience to
// reach it again when it is lost in the middle of the work.
package session

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// The pauses between attempts to reach a lost database.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Options say how to open a session and how long to hold on to it.
type Options struct {
	Known     pipeline.Known
	StateDir  string        // as configured; "" means the default
	Reconnect time.Duration // how long a lost database is waited for
	Log       *slog.Logger
	// Again is asked on each new connection in the middle of the work; its error ends the step. May be nil.
	Again func(ctx context.Context, conn *pgx.Conn) error
	Lost  func(reason string) // told whenever the database does not answer, and "" when it does again; may be nil
}

// Session is safe for use by one goroutine only.
type Session struct {
	connector *pg.Connector
	opts      Options
	conn      *pgx.Conn
	pipe      *pipeline.Pipeline
	store     *state.Store
	lost      bool // the connection was, at least once
}

// New returns a session. Nothing is connected yet.
func New(connector *pg.Connector, o Options) *Session {
	return &Session{connector: connector, opts: o}
}

// Pipeline returns what Open found in the database, nil before that.
func (s *Session) Pipeline() *pipeline.Pipeline { return s.pipe }

// Store returns where things are remembered, nil where that cannot be.
func (s *Session) Store() *state.Store { return s.store }

// Connected says whether there is a connection, as far as is known.
func (s *Session) Connected() bool { return s.conn != nil && !s.conn.IsClosed() }

// Silence is the bound on our silence for a transaction that takes lock 4246.
// After a loss, which may have come of the short one, it is the long one.
func (s *Session) Silence() time.Duration {
	if s.lost {
		return pg.LongSilence
	}
	return pg.ShortSilence
}

// Close ends the connection.
func (s *Session) Close(ctx context.Context) {
	if s.conn != nil {
		pg.Close(ctx, s.conn)
		s.conn = nil
	}
}

// Open connects, once, and looks at the database. Its errors are problems with a hint.
func (s *Session) Open(ctx context.Context, phase func(report.Phase)) error {
	phase(report.Connecting)
	if err := s.connect(ctx); err != nil {
		return err
	}
	phase(report.Inspecting)
	var err error
	if s.pipe, err = pipeline.Inspect(ctx, s.conn, s.opts.Known); err != nil {
		return s.connector.Explain(err)
	}
	return s.pipe.Check()
}

// InspectStore is OpenStore for who only looks: nothing is made, and nothing set aside.
func (s *Session) InspectStore() error {
	s.store = state.Inspect(state.Dir(s.opts.StateDir), s.key(), s.connector.Target())
	_, err := s.store.Load()
	return err
}

func (s *Session) key() state.Names {
	return state.Key(s.pipe.SystemIdentifier, s.connector.Target(), s.pipe.Database, s.pipe.Others...)
}

// OpenStore opens what is remembered of the database that Open looked at. A
// *state.UnusableError is a memory that begins anew; any other error means that there is none.
func (s *Session) OpenStore() error {
	store, err := state.Open(state.Dir(s.opts.StateDir), s.key(), s.connector.Target())
	if err == nil {
		_, err = store.Load()
	}
	if err == nil || state.Unusable(err) {
		s.store = store
	}
	return err
}

// Do runs one step on a live connection, and repeats it on a new one after a
// loss, for as long as Options.Reconnect says; so steps must be whole
// transactions, or reads.
func (s *Session) Do(ctx context.Context, step func(*pgx.Conn) error) error {
	var lostSince time.Time
	for backoff := firstPause; ; backoff = min(2*backoff, longestPause) {
		err := s.connect(ctx)
		if err == nil {
			if !lostSince.IsZero() {
				s.tellLost("")
			}
			err = step(s.conn)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted: %w", ctx.Err())
		case s.conn != nil && s.pipe != nil && pg.HidesRows(err):
			return s.pipe.Explained(ctx, s.conn, err) // a policy that came while we work
		case !pg.IsLost(err) && (s.conn != nil || problem.KindOf(err) != problem.Unreachable):
			return err
		}
		s.Close(ctx)
		s.lost = true
		if lostSince.IsZero() {
			lostSince = time.Now()
			s.opts.Log.Warn("lost the database, trying to reach it again", journal.DatabaseUnreachable.Attr(), journal.Reason(s.connector.Explain(err).Error()))
		}
		s.tellLost("the database does not answer: " + s.connector.Explain(err).Error())
		if time.Since(lostSince)+backoff > s.opts.Reconnect {
			return s.connector.Explain(err)
		}
		if err := pause.For(ctx, backoff); err != nil {
			return err
		}
	}
}

func (s *Session) tellLost(reason string) {
	if s.opts.Lost != nil {
		s.opts.Lost(reason)
	}
}

// connect makes a connection where there is none.
func (s *Session) connect(ctx context.Context) error {
	if s.Connected() {
		return nil
	}
	s.conn = nil
	conn, err := s.connector.Connect(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	if s.pipe == nil || s.opts.Again == nil {
		return nil
	}
	return s.opts.Again(ctx, conn)
}
