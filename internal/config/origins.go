package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/pflag"

	tomlparser "github.com/knadh/koanf/parsers/toml/v2"
)

// koanf merges the layers and fills the struct, but it cannot say where a value
// came from, or name the line of a fault: its parsers and providers return plain
// maps, without positions, and Load merges each into one map and forgets what it
// covered. So each layer is read here into settings that keep their origin, and
// checked; only then does koanf get its values, from a provider of maps. All that
// is known of origins is in this file.

// DefaultOrigin is the origin of a value that nothing has set.
const DefaultOrigin = "default"

// Origins say for each key where its value came from: "default", "file:line", a
// variable or a flag, as the user wrote it.
type Origins map[string]string

// defaultOrigins are those before any layer is read.
func defaultOrigins() Origins {
	origins := Origins{}
	for _, k := range keys() {
		origins[k.name] = DefaultOrigin
	}
	return origins
}

// comment is what a printed configuration says of an origin.
func comment(origin string) string {
	if origin == DefaultOrigin {
		return origin
	}
	return "from " + origin
}

// setting is one value as it was found, before it is checked.
type setting struct {
	name   string
	value  any
	isText bool   // from a variable or a flag, where everything is text
	origin string // "file:line", a variable or a flag, as the user wrote it
	hint   string // of a flag: what to type instead
}

const envPrefix = "MULTICA_ROLLUP_"

// flagSettings returns the bound flags that were given.
func flagSettings(flags *pflag.FlagSet) []setting {
	if flags == nil {
		return nil
	}
	var found []setting
	flags.Visit(func(f *pflag.Flag) {
		if name := f.Annotations[flagKey]; len(name) == 1 {
			found = append(found, setting{name[0], f.Value.String(), true, "--" + f.Name, FlagHint(f)})
		}
	})
	return found
}

// envSettings returns what MULTICA_ROLLUP_* variables set. A variable that
// matches no key keeps its own name, and is refused like any unknown key.
func envSettings(env []string) []setting {
	names := map[string]string{}
	for _, k := range keys() {
		names[k.variable()] = k.name
	}
	var found []setting
	for _, entry := range env {
		variable, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(variable, envPrefix) {
			continue
		}
		name := names[variable]
		found = append(found, setting{name, value, true, variable, ""})
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].origin < found[j].origin })
	return found
}

// fileSettings parses the file's content. path is how messages name it.
func fileSettings(content []byte, path string) ([]setting, error) {
	tree, err := tomlparser.Parser().Unmarshal(content)
	if err != nil {
		return nil, err
	}
	lines := lineNumbers(content)
	var found []setting
	flatten(tree, "", func(name string, value any) {
		origin := path
		if line, ok := lines[name]; ok {
			origin = fmt.Sprintf("%s:%d", path, line)
		}
		found = append(found, setting{name, value, false, origin, ""})
	})
	sort.SliceStable(found, func(i, j int) bool { return lines[found[i].name] < lines[found[j].name] })
	return found, nil
}

// flatten visits the leaves of a TOML tree under their dotted names. An empty
// table counts as one unless it is a section, so that a misspelled empty
// section is noticed.
func flatten(tree map[string]any, prefix string, visit func(name string, value any)) {
	for name, value := range tree {
		table, isTable := value.(map[string]any)
		switch {
		case !isTable:
			visit(prefix+name, value)
		case len(table) > 0:
			flatten(table, prefix+name+".", visit)
		case !isSection(prefix + name):
			visit(prefix+name, value)
		}
	}
}

func isSection(name string) bool {
	for _, section := range sections() {
		if section == name {
			return true
		}
	}
	return false
}

// lineNumbers tells on which line each key and table of a valid TOML text stands.
func lineNumbers(content []byte) map[string]int {
	lines := map[string]int{}
	parser := unstable.Parser{}
	parser.Reset(content)
	section := ""
	for parser.NextExpression() {
		node := parser.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, line := keyOf(&parser, node)
			section = name + "."
			note(lines, name, line)
		case unstable.KeyValue:
			noteKeyValue(&parser, node, section, lines)
		}
	}
	return lines
}

func noteKeyValue(parser *unstable.Parser, node *unstable.Node, prefix string, lines map[string]int) {
	name, line := keyOf(parser, node)
	note(lines, prefix+name, line)
	if value := node.Value(); value.Kind == unstable.InlineTable {
		children := value.Children()
		for children.Next() {
			if child := children.Node(); child.Kind == unstable.KeyValue {
				noteKeyValue(parser, child, prefix+name+".", lines)
			}
		}
	}
}

// keyOf returns the dotted key of a node and the line it starts on.
func keyOf(parser *unstable.Parser, node *unstable.Node) (name string, line int) {
	var parts []string
	for it := node.Key(); it.Next(); {
		part := it.Node()
		parts = append(parts, string(part.Data))
		if line == 0 {
			line = parser.Shape(part.Raw).Start.Line
		}
	}
	return strings.Join(parts, "."), line
}

func note(lines map[string]int, name string, line int) {
	if _, known := lines[name]; !known {
		lines[name] = line
	}
}
