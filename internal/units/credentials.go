package units

import (
	"context"
	"os"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Credentials returns the files that a service gets by LoadCredential=, by the
// names it sees them under; nil where there is no systemd or no such unit. A
// person who runs the program by hand means the same files.
func Credentials(ctx context.Context, service string) (map[string]string, error) {
	if _, err := os.Stat(booted); err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return nil, nil // no bus on this host, or none for us
	}
	defer conn.Close()
	return credentials(ctx, conn, service)
}

func credentials(ctx context.Context, conn bus, service string) (map[string]string, error) {
	_, own, err := properties(ctx, conn, service, "Service")
	if err != nil || own == nil {
		return nil, err
	}
	files := map[string]string{}
	pairs, _ := own["LoadCredential"].([][]any) // D-Bus type a(ss): name and path
	for _, pair := range pairs {
		if len(pair) != 2 {
			continue
		}
		name, _ := pair[0].(string)
		path, _ := pair[1].(string)
		files[name] = path
	}
	return files, nil
}
