package rollup

import "github.com/multica-rollup/multica-rollup/internal/sizing"

// SetSize sets the usage rows aimed at for the first slice, so that tests need
// no large databases to see slices cut.
func (w *Walker) SetSize(rows int) {
	w.walk.size = sizing.New(rows, floorSize, ceilSize, w.opts.Walk.SliceTarget)
}

// Statement returns an embedded statement.
var Statement = statement
