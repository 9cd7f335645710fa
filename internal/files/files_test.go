package files

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatIsNoFileIsAnErrorAtOnce(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := unix.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("file"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("huge"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at("huge"), 1<<40); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for path, want := range map[string]string{
		at("pipe"): "it is a named pipe, not a file", dir: "it is a directory, not a file", "/dev/zero": "it is a device, not a file",
		at("socket"): "it is a socket or a device, not a file", at("huge"): "it is larger than 1048576 bytes",
	} {
		if _, _, err := Read(path); err == nil || err.Error() != want {
			t.Errorf("Read(%s): %v, want %s", path, err, want)
		}
		if err := Check(path); err == nil {
			t.Errorf("Check(%s) finds nothing", path)
		}
	}
	for _, path := range []string{at("pipe"), dir, at("link"), at("socket")} {
		if _, err := OpenOwn(path, 0o600); err == nil {
			t.Errorf("OpenOwn(%s) opens it", path)
		}
	}
	if _, _, err := ReadOwn(at("link")); err == nil || err.Error() != "it is a symbolic link, not a file" {
		t.Errorf("ReadOwn of a link: %v", err)
	}
	if content, _, err := Read(at("link")); err != nil || string(content) != "text" {
		t.Errorf("Read of a link: %q, %v", content, err)
	}
	if content, _, err := Read(os.DevNull); err != nil || len(content) > 0 {
		t.Errorf("Read of %s: %q, %v", os.DevNull, content, err)
	}
	if _, _, err := Read(at("missing")); !errors.Is(err, os.ErrNotExist) || Check(at("missing")) != nil {
		t.Errorf("missing: %v", err)
	}
}
