package pg

// InDatabase returns a connector to another database of the same server, as the same role.
func (c *Connector) InDatabase(name string) *Connector {
	config := c.config.Copy()
	config.Database = name
	return &Connector{config: config, target: target(config), patience: c.patience}
}
