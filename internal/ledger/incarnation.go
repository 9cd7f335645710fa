package ledger

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Incarnation tells one life of a database from another. What is remembered of one is worth nothing in the next:
// a restore brings back an older state under the same name. A part that our role may not read is zero, and is left
// out of every comparison.
type Incarnation struct {
	System   string            `json:"system,omitempty"`   // system identifier of the cluster
	Timeline string            `json:"timeline,omitempty"` // of the WAL, eight hexadecimal digits
	Database uint32            `json:"database"`           // oid
	Tables   map[string]uint32 `json:"tables,omitempty"`   // oids, by name
	Files    map[string]uint32 `json:"files,omitempty"`    // file nodes, by the table's name
	Server   time.Time         `json:"server"`             // when the server was started
	Flushed  uint64            `json:"flushed,omitempty"`  // position in the WAL up to which it is on disk, in bytes
}

// Witness is an hourly row of ours: where it is found as we left it, the commit that wrote it is still there.
type Witness struct {
	Key       Key       `json:"key"`
	UpdatedAt time.Time `json:"updated_at"` // as we wrote it
	Until     uint64    `json:"until"`      // position in the WAL behind its commit, in bytes
}

// Key is that of an hourly row.
type Key struct {
	Hour      time.Time `json:"hour"`
	Workspace string    `json:"workspace"`
	Runtime   string    `json:"runtime"`
	Agent     string    `json:"agent"`
	Project   *string   `json:"project,omitempty"`
	Provider  string    `json:"provider"`
	Model     string    `json:"model"`
}

// mostWitnesses is how many are remembered, freshWitnesses how many of them are always the newest.
const (
	mostWitnesses  = 32
	freshWitnesses = 8
)

// Difference is what the incarnation of a database has that the remembered one has not.
type Difference struct {
	// Another says why this is another life of the database; "" where it is the same, or where that has still to be shown.
	Another string
	// Restarted says that the server has been started anew, or that another has taken its place. A roll-back in place goes through
	// a restart, so the witnesses have to be asked.
	Restarted bool
	// Rewritten lists the tables whose files are others: VACUUM FULL, CLUSTER, TRUNCATE.
	Rewritten []string
}

// Differs compares what is remembered with what is there now.
func (was *Incarnation) Differs(now Incarnation) (d Difference) {
	switch {
	case was.System != "" && now.System != "" && was.System != now.System:
		d.Another = "it is in another cluster (system identifier " + now.System + ", not " + was.System + ")"
	case was.Database != now.Database:
		d.Another = "it was created anew"
	}
	for _, name := range slices.Sorted(maps.Keys(now.Tables)) {
		if oid, known := was.Tables[name]; known && oid != now.Tables[name] && d.Another == "" {
			d.Another = name + " was created anew"
		}
		if file, known := was.Files[name]; known && file != now.Files[name] {
			d.Rewritten = append(d.Rewritten, name)
		}
	}
	promoted := was.Timeline != "" && now.Timeline != "" && was.Timeline != now.Timeline
	d.Restarted = promoted || !was.Server.Equal(now.Server)
	if d.Another == "" && d.Restarted && was.Flushed > 0 && now.Flushed > 0 && now.Flushed < was.Flushed {
		d.Another = fmt.Sprintf("its server has gone back: the WAL ends %d bytes before what had been written to disk", was.Flushed-now.Flushed)
	}
	return d
}

// Testimony is what became of a witness.
type Testimony struct {
	Found     bool
	UpdatedAt time.Time // of the row that is there
}

// HeardAfterRestart decides whether a server that was started anew goes on where the remembered one ended, by what
// became of the witnesses: "" where it does, and otherwise why not. Only those whose commit had reached the disk when
// memory was last saved can speak against it: a crash loses what had not. Whom others have rewritten since says nothing.
func HeardAfterRestart(was Life, now Incarnation, found []Testimony) string {
	asked, present, gone := 0, 0, 0
	for i, w := range was.Witnesses {
		switch there := found[i]; {
		case there.Found && there.UpdatedAt.Equal(w.UpdatedAt):
			asked, present = asked+1, present+1
		case was.Incarnation.Flushed == 0 || w.Until > was.Incarnation.Flushed:
		case there.Found && there.UpdatedAt.After(w.UpdatedAt):
			asked++
		case there.Found:
			return "it was rolled back: an hourly row that had been written is as it was before"
		default:
			asked, gone = asked+1, gone+1
		}
	}
	switch {
	case asked > 0 && present == 0 && gone > 0:
		return "it was rolled back: none of the hourly rows that had been written is there"
	case asked == 0 && (was.Incarnation.Flushed == 0 || now.Flushed == 0):
		return "its server was started anew, and whether it goes on where the old one ended cannot be read by our role"
	}
	return ""
}

// Heard adds witnesses, in the order of their commits. Where there are too many it forgets those that are closest to
// their neighbours for their age: the last commits have many, and each earlier time has some.
func (l *Life) Heard(list ...Witness) {
	l.Witnesses = append(l.Witnesses, list...)
	for len(l.Witnesses) > mostWitnesses {
		newest := l.Witnesses[len(l.Witnesses)-1].UpdatedAt
		densest, least := 1, math.Inf(1)
		for i := 1; i < len(l.Witnesses)-freshWitnesses; i++ {
			before, after := l.Witnesses[i-1].UpdatedAt, l.Witnesses[i+1].UpdatedAt
			if room := after.Sub(before).Seconds() / (newest.Sub(after).Seconds() + 1); room < least {
				densest, least = i, room
			}
		}
		l.Witnesses = slices.Delete(l.Witnesses, densest, densest+1)
	}
}

// Saved notes, at the end of a command, up to where the server had written its WAL to disk, and the clock.
func (l *Life) Saved(flushed uint64, clock Clock) {
	if l.Incarnation != nil {
		l.Incarnation.Flushed = max(flushed, l.Incarnation.Flushed)
	}
	l.Clock = &clock
}

// Enter has the memory be that of an incarnation that it goes on in. What was proven is withdrawn where tables were rewritten:
// nobody knows what was written. It returns why, "" where nothing is.
func (l *Life) Enter(now Incarnation, rewritten []string, at time.Time) (withdrawn string) {
	if l.Incarnation != nil {
		now.Flushed = max(now.Flushed, l.Incarnation.Flushed)
	}
	l.Incarnation = &now
	if len(rewritten) > 0 && l.Proven.Any() {
		l.Proven = nil
		withdrawn = strings.Join(rewritten, ", ") + " written anew since (VACUUM FULL, CLUSTER or TRUNCATE)"
		l.Notice(at, ProofsWithdrawn, withdrawn)
	}
	return withdrawn
}

// NoticeKind says what was noticed of the database.
type NoticeKind string

// What may be noticed.
const (
	FirstContact       NoticeKind = "first-contact"
	AnotherIncarnation NoticeKind = "another-incarnation"
	ProofsWithdrawn    NoticeKind = "proofs-withdrawn"
	ClockSteppedBack   NoticeKind = "clock-stepped-back"
)

// Notice is something that was noticed of the database, for who wants to know why something is not proven.
type Notice struct {
	At   time.Time  `json:"at"` // by the database's clock
	Kind NoticeKind `json:"kind"`
	Text string     `json:"text"`
}

// mostNotices bounds the notices that are remembered.
const mostNotices = 16

// Notice remembers what was noticed.
func (l *Life) Notice(at time.Time, kind NoticeKind, text string) {
	l.Notices = append(l.Notices, Notice{At: at, Kind: kind, Text: text})
	if over := len(l.Notices) - mostNotices; over > 0 {
		l.Notices = slices.Delete(l.Notices, 0, over)
	}
}
