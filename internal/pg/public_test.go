package pg

import (
	"strings"
	"testing"
)

func TestLibpqsVariablesAreNoPlaceForADSN(t *testing.T) {
	for _, variable := range []string{"PGHOST", "PGUSER", "PGDATABASE"} {
		for _, value := range []string{"postgres://u:s3cr3t@h/d", "u:s3cr3t@h", "host=h password=s3cr3t", "postgres%3A%2F%2Fu%3As3cr3t%40h"} {
			t.Setenv("PGHOST", "127.0.0.1")
			t.Setenv("PGUSER", "u")
			t.Setenv("PGDATABASE", "d")
			t.Setenv(variable, value)
			connector, err := NewConnector("", "test")
			if err == nil {
				t.Errorf("%s=%s is taken, and shown as %s on %s", variable, value, connector.User(), connector.Target())
			} else if strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "the environment") {
				t.Errorf("%s=%s: %v", variable, value, err)
			}
		}
	}
}
