package pg

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that this program branches on. Source: PostgreSQL manual, appendix A.
const (
	StateSerializationFailure  = "40001"
	StateUniqueViolation       = "23505"
	StateDeadlockDetected      = "40P01"
	StateLockNotAvailable      = "55P03"
	StateQueryCanceled         = "57014"
	StateAdminShutdown         = "57P01"
	StateCrashShutdown         = "57P02"
	StateCannotConnectNow      = "57P03"
	StateInsufficientPrivilege = "42501"
	StateUndefinedDatabase     = "3D000"
	StateInvalidPassword       = "28P01"
	StateInvalidAuthorization  = "28000"
	StateTooManyConnections    = "53300"
	StateReadOnlyTransaction   = "25006"
	StateDiskFull              = "53100"
	StateIdleInTransaction     = "25P03" // idle_in_transaction_session_timeout
)

// SQLState returns the SQLSTATE of the server's error in err's chain, "" where there is none.
func SQLState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// HidesRows says whether err is the server's refusal of a statement whose rows a
// row-level security policy would filter. The SQLSTATE is that of every missing
// privilege; the name of the server's own routine tells it apart in any language.
func HidesRows(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && hidesRows(e)
}

func hidesRows(e *pgconn.PgError) bool {
	return e.Code == StateInsufficientPrivilege && e.Routine == "check_enable_rls"
}
