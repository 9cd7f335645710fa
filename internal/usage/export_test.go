package usage

// Columns is columnsOf, for tests.
func Columns(s string) int { return columnsOf(s) }
