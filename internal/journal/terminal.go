package journal

import (
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// clearLine takes the cursor to the line's beginning and erases what is there.
const clearLine = "\r\x1b[K"

// The widths of a terminal that does not know its own, and of the narrowest that is believed.
const (
	usualWidth = 80
	leastWidth = 20
)

// Terminal is a terminal whose last line shows progress: it makes way for
// whatever else is written, and is drawn again after it. It is safe for concurrent use.
type Terminal struct {
	mu    sync.Mutex
	out   io.Writer
	width func() int
	line  string
}

// OnTerminal returns a *Terminal where w is one, else w itself.
func OnTerminal(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return w
	}
	return &Terminal{out: f, width: func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width < leastWidth {
			return usualWidth
		}
		return width
	}}
}

// Progress draws the last line anew; "" removes it.
func (t *Terminal) Progress(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if line == "" && t.line == "" {
		return
	}
	t.line = line
	_, _ = io.WriteString(t.out, clearLine+fit(line, t.width())) // what cannot be drawn is missed by nobody
}

// Write writes whole lines above the progress.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == "" {
		return t.out.Write(p)
	}
	if _, err := io.WriteString(t.out, clearLine); err != nil {
		return 0, err
	}
	n, err := t.out.Write(p)
	if err == nil {
		_, err = io.WriteString(t.out, fit(t.line, t.width()))
	}
	return n, err
}

// fit shortens a line to a width by whole parts of it, where the rest is not
// too short. The last column stays free: some terminals wrap there.
func fit(line string, width int) string {
	runes := []rune(line)
	if len(runes) < width {
		return line
	}
	head := string(runes[:width-2])
	end := 0
	for _, sep := range []string{", ", "; ", " ("} {
		end = max(end, strings.LastIndex(head, sep))
	}
	if end > len(head)/2 {
		head = head[:end]
	}
	return head + "…"
}
