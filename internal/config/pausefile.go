package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// hiddenFromUnits are directories of which the packaged services have their own,
// or none (PrivateTmp=, ProtectHome=).
var hiddenFromUnits = []string{"/tmp", "/var/tmp", "/home", "/root", "/run/user"}

// PauseFileWarning tells, in a sentence, why the pause file would never pause a
// backfill; "" where nothing speaks against it. service says that the backfill
// meant is that of the packaged units, which do not see every directory.
func (l *Loaded) PauseFileWarning(service bool) string {
	file := l.Backfill.PauseFile
	if file == "" {
		return ""
	}
	if service {
		for _, hidden := range hiddenFromUnits {
			if strings.HasPrefix(filepath.Clean(file), hidden+"/") {
				return fmt.Sprintf("the pause file %s never pauses the service, which does not see the %s of others: use one such as /run/multica-rollup.pause", file, hidden)
			}
		}
	}
	directory := filepath.Dir(file)
	info, err := os.Stat(directory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("the pause file %s cannot be there: there is no directory %s", file, directory)
	case err == nil && !info.IsDir():
		return fmt.Sprintf("the pause file %s cannot be there: %s is no directory", file, directory)
	}
	return ""
}
