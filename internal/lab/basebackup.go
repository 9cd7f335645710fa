package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// emptied are the directories whose content a base backup leaves out: WAL comes last, the rest is the
// running server's own (PostgreSQL's manual, "Making a Base Backup Using the Low Level API").
func emptied(dir string) bool {
	switch dir {
	case "pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans":
		return true
	}
	return false
}

// BaseBackup makes data, which must not exist, the data directory of a standby of this server, owned by
// whom the server runs as. It needs no pg_basebackup: that refuses servers later than itself, and not
// every build brings one.
func (s *Server) BaseBackup(ctx context.Context, data string) error {
	cred, err := unprivileged()
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connecting for the base backup: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('lab', true)"); err != nil {
		return fmt.Errorf("starting the base backup: %w", err)
	}
	if err := copyTree(s.dataDir(), data, cred, emptied); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		return fmt.Errorf("ending the base backup: %w", err)
	}
	// What the copy needs to become consistent is flushed by now.
	if err := copyTree(filepath.Join(s.dataDir(), "pg_wal"), filepath.Join(data, "pg_wal"), cred, emptied); err != nil {
		return err
	}
	source := fmt.Sprintf("primary_conninfo = 'host=%s port=%s user=%s'\n", s.base.Query().Get("host"), s.base.Query().Get("port"), superuser)
	if err := appendFile(filepath.Join(data, "postgresql.auto.conf"), source); err != nil {
		return err
	}
	for name, text := range map[string]string{"backup_label": label, "standby.signal": ""} {
		if err := copyFile(strings.NewReader(text), filepath.Join(data, name), 0o600, cred); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies directories and files, the content of the directories that skip names excepted. What a
// running server removes meanwhile is left out.
func copyTree(from, to string, cred *syscall.Credential, skip func(string) bool) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case skip(filepath.Dir(relative)) && !entry.IsDir(), relative == "postmaster.pid", relative == "postmaster.opts":
			return nil
		case skip(filepath.Dir(relative)) && filepath.Dir(relative) != "pg_wal":
			return fs.SkipDir
		case entry.IsDir():
			if err := os.MkdirAll(target, 0o700); err != nil {
				return err
			}
			return own(target, cred)
		}
		source, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = source.Close() }() // which is only read
		return copyFile(source, target, 0o600, cred)
	})
	if err != nil {
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return nil
}

func copyFile(from io.Reader, to string, mode fs.FileMode, cred *syscall.Credential) error {
	file, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, from); err != nil {
		_ = file.Close()
		return err
	}
	return errors.Join(file.Close(), own(to, cred))
}

// own hands a file over to whom the server runs as.
func own(path string, cred *syscall.Credential) error {
	if cred == nil {
		return nil
	}
	return os.Chown(path, int(cred.Uid), int(cred.Gid))
}
