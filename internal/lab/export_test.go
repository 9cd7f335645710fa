package lab

// LoadSQL returns the text of one of Load's operations.
func LoadSQL(name string) (string, error) {
	text, err := loadFiles.ReadFile("sql/load/" + name + ".sql")
	return string(text), err
}
