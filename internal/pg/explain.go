package pg

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// explain turns an error of the database, its driver or the network into a
// problem: one line that says which host and database (target), a hint, which
// may name the role ("" where that is not known), and the kind the exit code
// follows from. Problems and errors of a context pass through, nil stays nil.
func explain(err error, target, role string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if f, ok := oneServerFault(err); ok {
		return f.problem(err, target)
	}
	connecting, isConnect := errors.AsType[*pgconn.ConnectError](err)
	if isConnect {
		if role == "" {
			role = connecting.Config.User
		}
		return explainConnect(err, connecting.Config, target, role)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverFault(server, role).problem(err, target)
	}
	return netFault(err).problem(err, target)
}

// fault is one cause, before it is told.
type fault struct {
	rank int // what to tell first where several hosts or both TLS modes failed; higher is more telling
	kind problem.Kind
	text string
	hint string
}

const (
	rankOther = iota
	rankDNS
	rankRefused
	rankTimeout
	rankTLS
	rankRole
	rankServer
)

func (f fault) problem(err error, target string) error {
	return problem.Wrap(err, f.kind, f.hint, "%s: %s", target, f.text)
}

// Unwritable words a *StandbyError, *FrozenError or *SplitError as Connector.Explain does.
func Unwritable(err error, target string) error { return explain(err, target, "") }

// onlyPrimary is what to do where a standby answers.
const onlyPrimary = "name the primary in the DSN, or list every server of the cluster (host=a,b) with target_session_attrs=read-write; after a failover the next run tries again"

// oneServerFault classes what a transaction of ours finds out of its server.
func oneServerFault(err error) (fault, bool) {
	if _, ok := errors.AsType[*StandbyError](err); ok {
		return fault{rankRole, problem.Unreachable, "the server is a read-only standby: the roll-up has to be written on the primary", onlyPrimary}, true
	}
	if frozen, ok := errors.AsType[*FrozenError](err); ok {
		kind := problem.TryAgain
		if frozen.Freeze.Ours() {
			kind = problem.Config
		}
		return fault{rankServer, kind, frozen.Freeze.String(), frozen.Freeze.Hint()}, true
	}
	if split, ok := errors.AsType[*SplitError](err); ok {
		return fault{rankServer, problem.Config, "a pooler spreads the statements of one transaction over servers, and nothing was written: " + split.Error(),
			"name the primary itself in the DSN instead of the pooler, or have the pooler send all of role or application multica-rollup to the primary"}, true
	}
	return fault{}, false
}

// explainConnect tells every distinct cause of a failed connection on one line:
// the driver has tried each host, each of its addresses, with and without TLS.
func explainConnect(err error, config *pgconn.Config, target, role string) error {
	var faults []fault
	for _, leaf := range leaves(err) {
		f := connectFault(leaf, role)
		// With sslmode=prefer the attempt without TLS follows, and its outcome counts.
		if f.text == noTLS && plainAllowed(config) {
			continue
		}
		faults = append(faults, f)
	}
	if len(faults) == 0 {
		faults = append(faults, netFault(err))
	}
	top := faults[0]
	for _, f := range faults {
		if f.rank > top.rank {
			top = f
		}
	}
	texts := []string{top.text}
	for _, f := range faults {
		// A server that answered is the cause; that the other TLS mode or the
		// name's second address did not work only blurs it.
		if top.rank != rankServer && !slices.Contains(texts, f.text) {
			texts = append(texts, f.text)
		}
	}
	return problem.Wrap(err, top.kind, top.hint, "connecting to %s: %s", target, strings.Join(texts, "; "))
}

// plainAllowed tells whether the DSN lets a connection go without TLS.
func plainAllowed(config *pgconn.Config) bool {
	return config.TLSConfig == nil ||
		slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	for e := err; e != nil; {
		if joined, ok := e.(interface{ Unwrap() []error }); ok {
			var all []error
			for _, child := range joined.Unwrap() {
				all = append(all, leaves(child)...)
			}
			return all
		}
		e = errors.Unwrap(e)
	}
	return []error{err}
}

// connectFault classes one attempt on one address.
func connectFault(err error, role string) fault {
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return fault{rankRole, problem.Unreachable, "the server is a read-only standby",
			"list every server of the cluster in the DSN (host=a,b) with target_session_attrs=read-write, or wait for the failover to end"}
	case errors.Is(err, pgconn.ErrReadWriteConnection), errors.Is(err, pgconn.ErrPrimaryConnection):
		return fault{rankRole, problem.Config, "the server is no standby, and the DSN demands one",
			"the rollup writes: set target_session_attrs=read-write in the DSN"}
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverFault(server, role)
	}
	if f, ok := tlsFault(err); ok {
		return f
	}
	return netFault(err)
}

// noTLS is the cause only where the DSN demands TLS.
const noTLS = "the server offers no TLS"

// tlsFault recognises what goes wrong while TLS is negotiated.
func tlsFault(err error) (fault, bool) {
	f := fault{rank: rankTLS, kind: problem.Config}
	unknown, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	hostname, isHostname := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	record, isRecord := errors.AsType[tls.RecordHeaderError](err)
	alert, isAlert := errors.AsType[tls.AlertError](err)
	switch {
	case isUnknown:
		f.text = "the server's certificate is signed by an unknown authority"
		if unknown.Cert != nil {
			f.text += fmt.Sprintf(" (issuer %q)", unknown.Cert.Issuer.String())
		}
		f.hint = "set sslrootcert=FILE in the DSN to the certificate authority's certificate, or sslrootcert=system for a public one"
	case isHostname:
		f.text = fmt.Sprintf("the server's certificate is not for the host %q", hostname.Host)
		if names := hostname.Certificate.DNSNames; len(names) > 0 {
			f.text += fmt.Sprintf(" but for %s", strings.Join(names, ", "))
		}
		f.hint = "write the host as the certificate names it, or use sslmode=verify-ca to check the authority alone"
	case isInvalid:
		f.text = "the server's certificate is not valid: " + oneLine(invalid.Error())
		f.hint = "renew the server's certificate, or set the clock of this host"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		f.text = noTLS
		f.hint = "turn ssl on in the server's postgresql.conf, or set sslmode=disable in the DSN if the network in between is trusted"
	case isRecord:
		f.text = "what answers does not speak TLS: " + oneLine(record.Msg)
		f.hint = "check host and port, and sslnegotiation in the DSN"
	case isAlert:
		f.text = "the server ended the TLS handshake: " + oneLine(alert.Error())
		f.hint = "give the client certificate that the server asks for: sslcert=FILE sslkey=FILE in the DSN"
	case strings.Contains(err.Error(), "tls error") && !isTimeout(err):
		f.text = "TLS could not be agreed on: " + oneLine(deepest(err).Error())
		f.hint = "check sslmode and sslrootcert in the DSN"
	default:
		return fault{}, false
	}
	return f, true
}

// netFault classes errors of sockets and names; what it does not know it tells as it is.
func netFault(err error) fault {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	silent, isSilent := errors.AsType[*SilentError](err)
	at := ""
	unix := false
	if isOp && op.Addr != nil {
		at = " by " + op.Addr.String()
		unix = op.Addr.Network() == "unix"
	}
	switch {
	case isSilent:
		return fault{rankTimeout, problem.Unreachable, silent.Error(),
			"see whether the server hangs, a migration has the tables locked, or something in between swallows packets; the next run goes on where this one stopped"}
	case isDNS && dns.IsNotFound:
		return fault{rankDNS, problem.Unreachable, fmt.Sprintf("the host name %q is unknown", dns.Name),
			"check the host in the DSN: getent hosts " + dns.Name}
	case isDNS:
		return fault{rankDNS, problem.Unreachable, fmt.Sprintf("the host name %q could not be looked up: %s", dns.Name, dns.Err),
			"check this host's name servers: getent hosts " + dns.Name}
	case unix && errors.Is(err, os.ErrNotExist):
		return fault{rankRefused, problem.Unreachable, fmt.Sprintf("there is no socket %s", op.Addr),
			"check that PostgreSQL runs on this host (systemctl status postgresql) and which directory and port its socket has (SHOW unix_socket_directories)"}
	case unix && errors.Is(err, os.ErrPermission):
		return fault{rankRefused, problem.Permission, fmt.Sprintf("the socket %s may not be opened by this user", op.Addr),
			"check unix_socket_permissions and the mode of the directory"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault{rankRefused, problem.Unreachable, "connection refused" + at,
			"check that PostgreSQL runs there and listens on that address (listen_addresses), and the port in the DSN"}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fault{rankRefused, problem.Unreachable, "there is no route to the host",
			"check the host in the DSN, the network and its firewall"}
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EAFNOSUPPORT):
		return fault{rankRefused, problem.Permission, "this host does not let the program open the connection (" + deepest(err).Error() + ")",
			"check the unit's IPAddressDeny= and RestrictAddressFamilies= (systemctl cat multica-rollup.service) and the firewall"}
	case isTimeout(err):
		return fault{rankTimeout, problem.Unreachable, "no answer in time",
			"check the host in the DSN and the firewall in between; connect_timeout=SECONDS in the DSN gives it longer"}
	case strings.Contains(err.Error(), "invalid body length"), strings.Contains(err.Error(), "unknown message type"):
		return fault{rankTLS, problem.Config, "what answers is no PostgreSQL server", "check host and port in the DSN"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "unexpected EOF"), errors.Is(err, pgconn.ErrConnClosed):
		return fault{rankOther, problem.Unreachable, "the server closed the connection",
			"see the server's log for why; the next run goes on where this one stopped"}
	case strings.Contains(err.Error(), "channel binding"):
		return fault{rankTLS, problem.Config, "the server does not offer the channel binding that the DSN demands",
			"remove channel_binding=require from the DSN, or use TLS with SCRAM"}
	case strings.Contains(err.Error(), "require_auth"):
		return fault{rankTLS, problem.Config, "the server asks for an authentication method that require_auth excludes",
			"add the method to require_auth in the DSN"}
	case strings.Contains(err.Error(), "SCRAM"):
		return fault{rankServer, problem.Permission, "the SCRAM authentication did not succeed", "check the password in the DSN"}
	}
	return fault{rankOther, problem.Failed, oneLine(deepest(err).Error()), ""}
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || (ok && network.Timeout())
}

// deepest returns the innermost error: the driver's wrapping repeats user, host and database.
func deepest(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// oneLine folds white space, so that a message of several lines stays one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
