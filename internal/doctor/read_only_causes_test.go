package doctor_test

import "github.com/multica-rollup/multica-rollup/internal/doctor"

// readOnlyCauses are the settings by which an administrator switches writing off in one database.
func readOnlyCauses() []cause {
	const on = " set default_transaction_read_only = on"
	return []cause{
		{
			name: "by the database", id: "read-only", verdict: doctor.Critical, fix: "begin read write; alter database", says: "is on for database",
			make: func(p *patient) { p.exec("alter database " + p.name + on) },
		}, {
			name: "by the role", id: "read-only", verdict: doctor.Critical, fix: "begin read write; alter role", says: "is on for role",
			make: func(p *patient) { p.exec("alter role " + p.agent() + on) },
		}, {
			name: "by the role in the database", id: "read-only", verdict: doctor.Critical, fix: "begin read write; alter role", says: " in database ",
			make: func(p *patient) { p.exec("alter role " + p.agent() + " in database " + p.name + on) },
		},
	}
}

// frozenCauses are those of a whole server.
func (c *cluster) frozenCauses() []cause {
	return []cause{
		{
			name: "by ALTER SYSTEM", id: "read-only", verdict: doctor.Critical, says: "in the server's configuration",
			fix: "psql -d multica -c 'alter system reset default_transaction_read_only' -c 'select pg_reload_conf()'",
			make: func(p *patient) {
				p.exec("alter system set default_transaction_read_only = on")
				p.exec("select pg_reload_conf()")
				p.await("select not pg_is_in_recovery() and current_setting('default_transaction_read_only')::boolean")
			},
		},
	}
}
