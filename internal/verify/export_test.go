package verify

// Statement gives tests the embedded statements.
var Statement = statements.Text
