package configs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ruleFile is what is looked at in Prometheus's rules and in promtool's tests of them.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

type ruleTests struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			EvalTime  string           `yaml:"eval_time"`
			Alertname string           `yaml:"alertname"`
			ExpAlerts []map[string]any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, data, into)
}

func TestPromtoolAcceptsTheRulesAndTheirTestsPass(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "rules.yml", "kubernetes.yml"}, {"test", "rules", "rules_test.yml", "kubernetes_test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// ruleFiles are the files of alerts, with the tests of each.
var ruleFiles = map[string]string{"prometheus/rules.yml": "prometheus/rules_test.yml", "prometheus/kubernetes.yml": "prometheus/kubernetes_test.yml"}

func TestEveryAlertIsSeenToFireAndToBeSilent(t *testing.T) {
	guides := map[string]string{}
	for _, path := range []string{"../docs/guide.md", "../docs/guide.zh-CN.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		guides[path] = string(text)
	}
	for rulesPath, testsPath := range ruleFiles {
		var rules ruleFile
		readYAML(t, rulesPath, &rules)
		var tests ruleTests
		readYAML(t, testsPath, &tests)
		fires, silent := map[string]bool{}, map[string]bool{}
		for _, test := range tests.Tests {
			for _, a := range test.AlertRuleTest {
				if len(a.ExpAlerts) > 0 {
					fires[a.Alertname] = true
				} else {
					silent[a.Alertname] = true
				}
			}
		}
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				if !fires[rule.Alert] || !silent[rule.Alert] {
					t.Errorf("%s: tested firing %v, silent %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
				}
				if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
					t.Errorf("%s lacks a severity, a summary or a description", rule.Alert)
				}
				const guide = "https://github.com/multica-rollup/multica-rollup/blob/main/docs/guide.md#"
				if want := guide + strings.ToLower(rule.Alert); rule.Annotations["runbook_url"] != want {
					t.Errorf("%s: runbook_url is %q, want %s", rule.Alert, rule.Annotations["runbook_url"], want)
				}
				for path, text := range guides {
					if !strings.Contains(text, "\n### "+rule.Alert+"\n") {
						t.Errorf("%s has no section %s", path, rule.Alert)
					}
				}
			}
		}
	}
}

func TestTheOperatorsRulesAreTheSame(t *testing.T) {
	var want []any
	for _, path := range []string{"prometheus/rules.yml", "prometheus/kubernetes.yml"} {
		var rules map[string][]any
		readYAML(t, path, &rules)
		want = append(want, rules["groups"]...)
	}
	if diff := cmp.Diff(want, manifest(t, "kubernetes/prometheusrule.yaml")["PrometheusRule"].Spec["groups"]); diff != "" {
		t.Errorf("prometheusrule.yaml differs (-prometheus/*.yml +kubernetes/prometheusrule.yaml):\n%s", diff)
	}
}

// dashboard is what is looked at in Grafana's form.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "multica-rollup" || len(d.Panels) == 0 {
		t.Fatalf("dashboard %q with %d panels", d.UID, len(d.Panels))
	}
	return d
}

func TestTheDashboardsPanelsAreExplainedAndDoNotOverlap(t *testing.T) {
	var seen []panel
	for _, p := range readDashboard(t).Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q lacks a title, a description or a query", p.ID, p.Title)
		}
		a := p.GridPos
		if a.X < 0 || a.W <= 0 || a.H <= 0 || a.X+a.W > 24 {
			t.Errorf("panel %q lies outside of the grid: %+v", p.Title, a)
		}
		for _, other := range seen {
			b := other.GridPos
			if other.ID == p.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q have one id or one place", other.Title, p.Title)
			}
		}
		seen = append(seen, p)
	}
}

func TestPrometheusParsesTheDashboardsQueries(t *testing.T) {
	// As recording rules, promtool checks them like its own.
	var rules strings.Builder
	rules.WriteString("groups: [{name: dashboard, rules: [\n")
	for _, expr := range queries(t) {
		expr = strings.NewReplacer("$instance", ".*").Replace(expr)
		quoted, err := json.Marshal(expr)
		if err != nil {
			t.Fatal(err)
		}
		rules.WriteString("{record: a, expr: " + string(quoted) + "},\n")
	}
	rules.WriteString("]}]\n")
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", "--lint=none", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// queries returns the dashboard's expressions.
func queries(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}
