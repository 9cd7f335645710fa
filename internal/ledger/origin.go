package ledger

import (
	"regexp"
	"strings"
)

// Origin says what a file is of. It is the head of every file.
type Origin struct {
	Version  int    `json:"version"`
	Database string `json:"database"`       // how the server was named: the same one can be named in other ways
	Name     string `json:"name,omitempty"` // the database's own; "" in the files of earlier versions
}

// Of says whether a file with this origin is of the database that now is the
// origin of. The server's identity is in the file's name already, where it can
// be read; a file without a name of its database goes by how it was reached.
func (o Origin) Of(now Origin) bool {
	switch {
	case o.Name != "":
		return o.Name == now.Name
	case o.Database == "" || o.Database == now.Database:
		return true
	}
	server, ok := strings.CutSuffix(o.Database, "/"+now.Name)
	return ok && now.Name != "" && port.MatchString(server)
}

// port ends the address of a server: what follows is the database's name, whatever is in that.
var port = regexp.MustCompile(`:[0-9]+$`)

// Title names the database to people.
func (o Origin) Title() string {
	if o.Name != "" && !strings.HasSuffix(o.Database, "/"+o.Name) {
		return o.Database + " (" + o.Name + ")"
	}
	return o.Database
}
