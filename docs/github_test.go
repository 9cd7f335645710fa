package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// What passes on the forge has to pass on a contributor's machine, and the other way round.
func TestTheForgeRunsTheSameAsEverybody(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	readYAML(t, ".github/workflows/ci.yml", &workflow)
	if len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" {
		t.Errorf("permissions %v", workflow.Permissions)
	}
	for name, job := range workflow.Jobs {
		var runs []string
		for _, step := range job.Steps {
			if step.Run != "" {
				runs = append(runs, step.Run)
			} else if !strings.HasPrefix(step.Uses, "actions/checkout@") {
				t.Errorf("%s uses %s", name, step.Uses)
			}
		}
		if len(runs) != 1 || runs[0] != ".ci/run" {
			t.Errorf("%s runs %q", name, runs)
		}
	}
}

func TestEveryModuleIsKeptUpToDate(t *testing.T) {
	var dependabot struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	readYAML(t, ".github/dependabot.yml", &dependabot)
	watched := map[string]bool{}
	for _, u := range dependabot.Updates {
		for _, dir := range u.Directories {
			watched[u.Ecosystem+" "+dir] = true
		}
	}
	modules := 0
	for _, pattern := range []string{"go.mod", "packaging/dev/*/go.mod"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			modules++
			dir := strings.TrimPrefix(filepath.Dir(path), root)
			if !watched["gomod /"+strings.TrimPrefix(dir, "/")] {
				t.Errorf("dependabot does not look at %s", path)
			}
		}
	}
	if modules < 3 {
		t.Errorf("only %d modules were found", modules)
	}
}

func TestTheTemplatesAskForCommandsThatExist(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(root, ".github/ISSUE_TEMPLATE/*.yml"))
	if err != nil || len(found) < 3 {
		t.Fatalf("templates %q, %v", found, err)
	}
	for _, path := range found {
		var form map[string]any
		readYAML(t, strings.TrimPrefix(path, root+"/"), &form)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`sudo (multica-rollup \S+)`).FindAllStringSubmatch(string(text), -1) {
			if wrong := check(t, m[1]); wrong != "" {
				t.Errorf("%s: %s: %s", path, m[1], wrong)
			}
		}
	}
}
