package pg

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

const (
	// defaultConnectTimeout bounds one host's attempt where the DSN says nothing:
	// a timer that starts every five minutes must not sit on a dead address.
	defaultConnectTimeout = 10 * time.Second

	// cancelRequestDelay is how long after a cancelled context the server is asked
	// to stop: nothing is gained by waiting, the slice is to be rolled back.
	cancelRequestDelay = 50 * time.Millisecond

	// cancelDeadline is when the socket is given up if the cancel request has no effect.
	cancelDeadline = 5 * time.Second
)

// Connector opens connections to one database.
type Connector struct {
	config   *pgx.ConnConfig
	target   string
	patience *Patience
}

// NewConnector parses conn, a libpq URL or keyword string; what it leaves open
// comes from libpq's environment, service file and password file. The
// connections carry the given application name, their only startup parameter
// besides what the DSN itself holds. Errors are of package problem and never
// quote the DSN.
func NewConnector(conn, application string) (*Connector, error) {
	parsed, err := dsn.Parse(conn)
	if err != nil {
		return nil, unusable(err)
	}
	settings, err := parsed.Driver()
	if err != nil {
		return nil, unusable(err)
	}
	if err := checkFiles(parsed); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(settings.Text)
	if err != nil {
		return nil, explainParse(err)
	}
	if err := checkPublic(config); err != nil {
		return nil, err
	}
	// A service file may hold what a DSN may; of that, the driver makes settings of the server.
	for key, value := range config.RuntimeParams {
		if err := dsn.FromElsewhere(key, value); err != nil {
			return nil, unusable(err)
		}
		if k, known := dsn.LookUp(key); known && k.Handling != dsn.Passed {
			delete(config.RuntimeParams, key)
			if _, own := settings.Keepalives[key]; !own {
				settings.Keepalives[key] = value
			}
		}
	}
	dialer, err := newDialer(settings.Keepalives)
	if err != nil {
		return nil, err
	}
	limitTLS(config, settings)
	patience := defaultPatience()
	config.DialFunc = dial(dialer, &patience)
	// The driver takes an administrator's freeze (default_transaction_read_only) for a
	// standby. A frozen primary is the right server: each transaction says why it may not write.
	if same(config.ValidateConnect, pgconn.ValidateConnectTargetSessionAttrsReadWrite) {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	config.RuntimeParams["application_name"] = application
	// Results come as text, which the driver reads in this style only, whatever the
	// role or the database is set to. PgBouncer knows this parameter by itself.
	config.RuntimeParams["datestyle"] = "ISO"
	// So is text in UTF-8, whatever client_encoding the role has.
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = defaultConnectTimeout
	}
	// The library bounds dialling and authentication, not the look-up of names.
	lookup := config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
		defer cancel()
		if addresses := settings.Addresses[host]; len(addresses) > 0 {
			return addresses, nil
		}
		return lookup(ctx, host)
	}
	// Unnamed statements and no caches: behind PgBouncer in transaction mode the
	// next transaction may be on another server connection.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{
			Conn:               conn,
			CancelRequestDelay: cancelRequestDelay,
			DeadlineDelay:      cancelDeadline,
		}
	}
	return &Connector{config: config, target: target(config), patience: &patience}, nil
}

// same says whether two functions of the driver are one.
func same(a, b pgconn.ValidateConnectFunc) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// SetPatience replaces how long connections opened from now on wait for an answer.
func (c *Connector) SetPatience(p Patience) { *c.patience = p }

// Connect opens a connection. Its errors are of package problem, except that a
// cancelled or expired ctx is returned as that.
func (c *Connector) Connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, c.config)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting to %s: %w", c.target, ctx.Err())
	}
	return nil, c.Explain(err)
}

// Target returns "host:port/database", with all hosts of a multi-host DSN and no secret.
func (c *Connector) Target() string { return c.target }

// User returns the role that connections log in as.
func (c *Connector) User() string { return c.config.User }

// Explain turns an error of the database, its driver or the network into a problem: one line with the
// target, a hint, and the kind that the exit code follows from. It holds no password. Problems and errors
// of a context pass through, nil stays nil.
func (c *Connector) Explain(err error) error {
	explained := explain(err, c.target, c.config.User)
	if p, ok := explained.(*problem.Error); ok && p != err {
		p.Msg, p.Hint = c.Redact(p.Msg), c.Redact(p.Hint)
	}
	return explained
}

// Redact masks the password, as it is and as it is written in a URL, wherever it stands in s.
func (c *Connector) Redact(s string) string {
	return dsn.Redact(s, c.config.Password, c.target, c.config.User)
}

// target lists each host once: the library repeats a host to try it with and without TLS.
func target(config *pgx.ConnConfig) string {
	hosts := []string{address(config.Host, config.Port)}
	for _, fallback := range config.Fallbacks {
		if a := address(fallback.Host, fallback.Port); !slices.Contains(hosts, a) {
			hosts = append(hosts, a)
		}
	}
	database := config.Database
	if database == "" {
		database = config.User // the server's default
	}
	return strings.Join(hosts, ",") + "/" + database
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
