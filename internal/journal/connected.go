package journal

import (
	"io"
	"os"
)

// Connected tells whether w is the stream that systemd connected to the journal.
func Connected(w io.Writer) bool { return isJournal(w, os.Getenv) }
