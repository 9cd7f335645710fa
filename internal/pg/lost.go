package pg

import (
	"errors"
	"net"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// IsLost says whether the connection, or the server behind it, has gone, so
// that the same step may work on a new connection. A server that has become a
// standby counts: with several hosts in the DSN the next one may be the primary.
func IsLost(err error) bool {
	if _, standby := errors.AsType[*StandbyError](err); standby {
		return true
	}
	switch code := SQLState(err); {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"), // the second is how the server says so: it goes down, or we were idle
		code == StateReadOnlyTransaction, code == StateIdleInTransaction: // we were stopped for a while
		return true
	case code != "":
		return false
	}
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return false
	}
	_, ok := errors.AsType[net.Error](err)
	return ok || isClosedText(err)
}

// isClosedText recognises a connection that the driver found closed.
func isClosedText(err error) bool {
	text := err.Error()
	for _, s := range []string{"conn closed", "unexpected EOF", "broken pipe", "connection reset", "closed network connection", "EOF"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
