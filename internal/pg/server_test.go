package pg

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// start starts a server of the test's own, with TCP.
func start(t *testing.T, o lab.Options) *lab.Server {
	t.Helper()
	o.TCP = true
	server, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// superuser connects as the server's owner.
func superuser(t *testing.T, server *lab.Server, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server ends with the test anyway
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// tcpPort returns the port that the server listens on, on 127.0.0.1.
func tcpPort(t *testing.T, server *lab.Server) string {
	t.Helper()
	u, err := url.Parse(server.TCPDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// owner returns whom the server runs as: what it is to read must be theirs.
func owner(t *testing.T, server *lab.Server) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(filepath.Join(server.Dir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
}

// dirFor makes a directory outside of t.TempDir, which nobody but the test's own user may enter.
func dirFor(t *testing.T, who *syscall.Credential) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFor(t *testing.T, who *syscall.Credential, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, int(who.Uid), int(who.Gid)); err != nil {
		t.Fatal(err)
	}
}

// as makes a command run as who; setting one's own identity would need privileges.
func as(cmd *exec.Cmd, who *syscall.Credential) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != int(who.Uid) {
		cmd.SysProcAttr.Credential = who
	}
	return cmd
}

// freePort returns a TCP port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// serveTLS gives a running server a certificate for the given names. It returns
// the file with the authority's certificate.
func serveTLS(t *testing.T, server *lab.Server, names ...string) (authority string) {
	t.Helper()
	ca, caKey := certificate(t, nil, nil, "test authority")
	leaf, leafKey := certificate(t, ca, caKey, names...)
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	data, who := filepath.Join(server.Dir(), "data"), owner(t, server)
	writeFor(t, who, filepath.Join(data, "server.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	writeFor(t, who, filepath.Join(data, "server.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	conn := superuser(t, server, "postgres")
	exec1(t, conn, "alter system set ssl = on", "select pg_reload_conf()")
	eventually(t, "TLS is on", func() error {
		var ssl string
		if err := conn.QueryRow(t.Context(), "show ssl").Scan(&ssl); err != nil || ssl != "on" {
			return fmt.Errorf("ssl = %q, %w", ssl, err)
		}
		return nil
	})
	return authorityFile(t, ca)
}

func authorityFile(t *testing.T, ca *x509.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate makes one signed by ca, or an authority where ca is nil.
func certificate(t *testing.T, ca *x509.Certificate, caKey *ecdsa.PrivateKey, names ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ca == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		ca, caKey = template, key
	} else {
		template.DNSNames = names
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed, key
}

// eventually tries until fn succeeds, for at most 30 seconds.
func eventually(t *testing.T, what string, fn func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
