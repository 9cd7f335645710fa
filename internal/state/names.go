package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

const (
	// mostReadable bounds each readable part of a file's name: system identifiers have 19
	// digits and databases' names 63 bytes, while the addresses of servers know no bound.
	mostReadable = 64
	// hashDigits tell two databases apart whose names read alike.
	hashDigits = 12
)

// Names are what the files of one database are called, without their suffixes.
type Names struct {
	file     string
	earlier  string // what earlier versions called them; the same where nothing had to be replaced
	shared   bool   // they gave another database of the server the same name
	database string // current_database()
}

// Key names a database's files: the cluster's system identifier (or, where it
// may not be read, the server's address) and the database's name. others are the
// server's other databases, with which earlier versions may have confused it.
func Key(cluster, target, database string, others ...string) Names {
	server := cmp.Or(cluster, target)
	n := Names{file: readable(server) + "-" + readable(database), earlier: cleaned(server) + "-" + cleaned(database), database: database}
	// "~" is in no readable part, so that no name with a hash is one without. Capital letters
	// count as replaced: some file systems do not tell them from small ones.
	if cluster == "" || n.file != server+"-"+database || n.file != strings.ToLower(n.file) {
		n.file += "~" + hashed(server, database)
	}
	n.shared = slices.ContainsFunc(others, func(o string) bool { return o != database && cleaned(o) == cleaned(database) })
	return n
}

// label is a readable name for anything, unlike those of all others.
func label(s string) string {
	if r := readable(s); r == s {
		return r
	}
	return readable(s) + "~" + hashed(s)
}

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:hashDigits]
}

// readable is what can be kept of s in the name of a file that nothing hides.
func readable(s string) string {
	r := cleaned(s[:min(len(s), 4*mostReadable)]) // a cut rune becomes one more "_"
	if strings.HasPrefix(r, ".") {
		r = "_" + r[1:]
	}
	return r[:min(len(r), mostReadable)]
}

// cleaned replaces what could mean something in the name of a file. What is
// replaced reads alike afterwards.
func cleaned(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, s)
}
