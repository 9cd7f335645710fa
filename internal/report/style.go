package report

// Bold emphasises text where the style has colour.
func (st Style) Bold(s string) string { return st.paint(bold, s) }
