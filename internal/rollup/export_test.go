package rollup

// SetSize sets the usage rows aimed at for the first slice, so that tests need
// no large databases to see slices cut.
func (w *Walker) SetSize(rows int) { w.size = rows }

// Statement returns an embedded statement.
func Statement(name string, costs bool) string { return statement(name, costs) }
