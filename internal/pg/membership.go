package pg

// Membership returns the statement by which a role may do what another may, on a server of a major version.
// A grant alone gives nothing to a role that does not inherit: from PostgreSQL 16 on that is the grant's own
// affair, and one that exists keeps what it says unless told otherwise; before, it is the role's attribute.
func Membership(of, role string, major int, inherits bool) string {
	grant := "grant " + Quote(of) + " to " + Quote(role)
	switch {
	case major >= 16:
		return grant + " with inherit true"
	case !inherits:
		return grant + "; alter role " + Quote(role) + " inherit"
	}
	return grant
}
