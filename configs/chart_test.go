package configs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// goldens are what Helm makes of the chart, with the values of the same name.
const goldens = "../packaging/dev/kubernetes/testdata/"

// rendered returns the objects of a golden file by kind and name.
func rendered(t *testing.T, name string) map[string]map[string]any {
	t.Helper()
	data, err := os.ReadFile(goldens + name + ".golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]map[string]any{}
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o != nil {
			objects[o["kind"].(string)+"/"+o["metadata"].(map[string]any)["name"].(string)] = o
		}
	}
}

// Helm takes minutes to build, so that the golden files are compared with what it makes in make e2e; here with the chart.
func TestTheGoldenFilesAreThoseOfTheChart(t *testing.T) {
	const chart = "helm/multica-rollup"
	var lines []string
	err := filepath.WalkDir(chart, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		lines = append(lines, fmt.Sprintf("./%s\x00%x", strings.TrimPrefix(path, chart+"/"), sha256.Sum256(content)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	sums := sha256.New()
	for _, line := range lines {
		path, sum, _ := strings.Cut(line, "\x00")
		fmt.Fprintf(sums, "%s  %s\n", sum, path)
	}
	values, err := filepath.Glob(goldens + "values/*.yaml")
	if err != nil || len(values) == 0 {
		t.Fatalf("values %q, %v", values, err)
	}
	for _, path := range values {
		golden := goldens + strings.TrimSuffix(filepath.Base(path), ".yaml") + ".golden.yaml"
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("# chart %x\n", sums.Sum(nil)); !strings.Contains(string(text), want) {
			t.Errorf("%s is of another state of the chart: packaging/dev/kubernetes.sh --update", golden)
		}
	}
}

// podOf returns the pod of a golden CronJob or Job, read strictly.
func podOf(t *testing.T, o map[string]any) pod {
	t.Helper()
	var j job
	object := object{Spec: o["spec"].(map[string]any)}
	if o["kind"] == "CronJob" {
		var c cronJob
		spec(t, object, &c)
		j = c.JobTemplate.Spec
	} else {
		spec(t, object, &j)
	}
	return j.Template.Spec
}

func TestTheChartsPodsAreThoseOfTheManifests(t *testing.T) {
	objects := rendered(t, "dsn")
	for kind, manifest := range map[string]string{"CronJob/multica-rollup": "cronjob.yaml", "Job/multica-rollup-backfill-1": "backfill-job.yaml"} {
		if objects[kind] == nil {
			t.Fatalf("the chart makes no %s", kind)
		}
		own, chart := jobs(t)[manifest].Template.Spec, podOf(t, objects[kind])
		if chart.dsnFile() == "" || chart.dsnFile() != value(chart.Containers[0].Env, "MULTICA_ROLLUP_DSN_FILE") || slices.ContainsFunc(chart.Containers[0].Env, holdsASecret) {
			t.Errorf("%s has the DSN from another place than a mounted secret", kind)
		}
		if chart.Containers[0].Image != "registry.example/multica-rollup:1.2.3" || value(chart.Containers[0].Env, "MULTICA_ROLLUP_RUN_STANDBY_LAG") != "15m" {
			t.Errorf("%s: %+v", kind, chart.Containers[0])
		}
		// What the values ask for, and the names of what Multica's chart has made.
		chart.Affinity, own.Affinity = nil, nil
		chart.ImagePullSecrets, chart.NodeSelector, chart.Tolerations = nil, nil, nil
		chart.Containers[0].Image = own.Containers[0].Image
		chart.Containers[0].Env = chart.Containers[0].Env[:len(chart.Containers[0].Env)-1]
		for i := range chart.Volumes {
			if s := &chart.Volumes[i].Secret; s.SecretName == "multica-secrets" {
				s.SecretName = own.Volumes[i].Secret.SecretName
			}
		}
		if diff := cmp.Diff(own, chart); diff != "" {
			t.Errorf("%s (-kubernetes/%s +helm):\n%s", kind, manifest, diff)
		}
	}
}

func TestTheChartTakesWhatMulticasChartHasMade(t *testing.T) {
	for name, release := range map[string]string{"default": "multica", "stateless": "acme"} {
		c := podOf(t, rendered(t, name)["CronJob/multica-rollup"]).Containers[0]
		got := map[string]string{}
		for _, e := range c.Env {
			switch {
			case e.ValueFrom.SecretKeyRef.Name != "":
				got[e.Name] = "secret " + e.ValueFrom.SecretKeyRef.Name + " " + e.ValueFrom.SecretKeyRef.Key
			case e.ValueFrom.ConfigMapKeyRef.Name != "":
				got[e.Name] = "config " + e.ValueFrom.ConfigMapKeyRef.Name + " " + e.ValueFrom.ConfigMapKeyRef.Key
			default:
				got[e.Name] = e.Value
			}
		}
		want := map[string]string{
			"PGHOST": release + "-postgres", "PGPORT": "5432", "PGDATABASE": "config " + release + "-config POSTGRES_DB",
			"PGUSER": "config " + release + "-config POSTGRES_USER", "PGPASSWORD": "secret multica-secrets POSTGRES_PASSWORD",
			"MULTICA_ROLLUP_LOG_FORMAT": "json", "MULTICA_ROLLUP_STATE_DIR": stateDir,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheChartsJobCanPrepareAnUpgrade(t *testing.T) {
	p := podOf(t, rendered(t, "stateless")["Job/multica-rollup-backfill-1"])
	if !slices.Equal(p.Containers[0].Args, []string{"guard", "--fix"}) || len(p.Volumes) > 0 {
		t.Errorf("args %q, volumes %+v", p.Containers[0].Args, p.Volumes)
	}
	status := rendered(t, "default")["Pod/multica-rollup-status"]
	containers := status["spec"].(map[string]any)["containers"].([]any)
	if args := containers[0].(map[string]any)["args"]; !cmp.Equal(args, []any{"status", "--brief"}) {
		t.Errorf("helm test runs %v", args)
	}
}

func TestTheChartsAlertsAreThoseOfPrometheus(t *testing.T) {
	var own, chart map[string][]any
	readYAML(t, "prometheus/kubernetes.yml", &own)
	readYAML(t, "helm/multica-rollup/files/kubernetes.yml", &chart)
	if diff := cmp.Diff(own, chart); diff != "" {
		t.Errorf("the chart's alerts differ (-prometheus +helm):\n%s", diff)
	}
	rule := rendered(t, "dsn")["PrometheusRule/multica-rollup"]
	if diff := cmp.Diff(any(own["groups"]), rule["spec"].(map[string]any)["groups"]); diff != "" {
		t.Errorf("what the chart makes of its alerts (-prometheus +helm):\n%s", diff)
	}
}
