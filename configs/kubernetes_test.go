package configs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is what the manifests use of Kubernetes' objects. A field that is not
// here is refused, so a slip of the pen is not taken for a setting.
type object struct {
	APIVersion string         `yaml:"apiVersion"`
	Kind       string         `yaml:"kind"`
	Metadata   metadata       `yaml:"metadata"`
	Spec       map[string]any `yaml:"spec"`
}

type metadata struct {
	Name        string            `yaml:"name"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type cronJob struct {
	Schedule                   string `yaml:"schedule"`
	ConcurrencyPolicy          string `yaml:"concurrencyPolicy"`
	StartingDeadlineSeconds    int    `yaml:"startingDeadlineSeconds"`
	SuccessfulJobsHistoryLimit int    `yaml:"successfulJobsHistoryLimit"`
	FailedJobsHistoryLimit     int    `yaml:"failedJobsHistoryLimit"`
	Suspend                    bool   `yaml:"suspend"`
	JobTemplate                struct {
		Metadata metadata `yaml:"metadata"`
		Spec     job      `yaml:"spec"`
	} `yaml:"jobTemplate"`
}

type job struct {
	BackoffLimit            *int `yaml:"backoffLimit"`
	ActiveDeadlineSeconds   int  `yaml:"activeDeadlineSeconds"`
	TTLSecondsAfterFinished int  `yaml:"ttlSecondsAfterFinished"`
	Template                struct {
		Metadata metadata `yaml:"metadata"`
		Spec     pod      `yaml:"spec"`
	} `yaml:"template"`
}

type pod struct {
	RestartPolicy                 string         `yaml:"restartPolicy"`
	AutomountServiceAccountToken  *bool          `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool          `yaml:"enableServiceLinks"`
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               podSecurity    `yaml:"securityContext"`
	Affinity                      map[string]any `yaml:"affinity"`
	ImagePullSecrets              []any          `yaml:"imagePullSecrets"`
	NodeSelector                  map[string]any `yaml:"nodeSelector"`
	Tolerations                   []any          `yaml:"tolerations"`
	Containers                    []container    `yaml:"containers"`
	Volumes                       []volume       `yaml:"volumes"`
}

type podSecurity struct {
	RunAsNonRoot   bool `yaml:"runAsNonRoot"`
	RunAsUser      int  `yaml:"runAsUser"`
	RunAsGroup     int  `yaml:"runAsGroup"`
	FSGroup        int  `yaml:"fsGroup"`
	SeccompProfile struct {
		Type string `yaml:"type"`
	} `yaml:"seccompProfile"`
}

type container struct {
	Name            string   `yaml:"name"`
	Image           string   `yaml:"image"`
	ImagePullPolicy string   `yaml:"imagePullPolicy"`
	Command         []string `yaml:"command"`
	Args            []string `yaml:"args"`
	Env             []envVar `yaml:"env"`
	Resources       struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	} `yaml:"resources"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Drop []string `yaml:"drop"`
		} `yaml:"capabilities"`
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type envVar struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value"`
	ValueFrom struct {
		SecretKeyRef struct {
			Name string `yaml:"name"`
			Key  string `yaml:"key"`
		} `yaml:"secretKeyRef"`
		ConfigMapKeyRef struct {
			Name string `yaml:"name"`
			Key  string `yaml:"key"`
		} `yaml:"configMapKeyRef"`
	} `yaml:"valueFrom"`
}

type volume struct {
	Name                  string `yaml:"name"`
	PersistentVolumeClaim struct {
		ClaimName string `yaml:"claimName"`
	} `yaml:"persistentVolumeClaim"`
	Secret struct {
		SecretName  string `yaml:"secretName"`
		DefaultMode int    `yaml:"defaultMode"`
		Items       []struct {
			Key  string `yaml:"key"`
			Path string `yaml:"path"`
		} `yaml:"items"`
	} `yaml:"secret"`
}

// dsnFile returns where a pod has its DSN from a secret, as a file that its group alone may read; "" where it does not.
func (p pod) dsnFile() string {
	for _, v := range p.Volumes {
		for _, m := range p.Containers[0].VolumeMounts {
			if m.Name == v.Name && m.ReadOnly && v.Secret.SecretName != "" && v.Secret.DefaultMode == 0o440 && len(v.Secret.Items) == 1 {
				return m.MountPath + "/" + v.Secret.Items[0].Path
			}
		}
	}
	return ""
}

// decode reads one YAML document strictly into v.
func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// manifest returns the objects of a file by their kind.
func manifest(t *testing.T, path string) map[string]object {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	objects := map[string]object{}
	for {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects[o.Kind] = o
	}
}

// spec decodes an object's spec strictly into v.
func spec(t *testing.T, o object, v any) {
	t.Helper()
	data, err := yaml.Marshal(o.Spec)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, data, v)
}

// jobs returns the job of each manifest.
func jobs(t *testing.T) map[string]job {
	t.Helper()
	var c cronJob
	spec(t, manifest(t, "kubernetes/cronjob.yaml")["CronJob"], &c)
	var j job
	spec(t, manifest(t, "kubernetes/backfill-job.yaml")["Job"], &j)
	return map[string]job{"cronjob.yaml": c.JobTemplate.Spec, "backfill-job.yaml": j}
}

func TestTheCronJobTicksEveryFiveMinutesAndNeverTwiceAtOnce(t *testing.T) {
	objects := manifest(t, "kubernetes/cronjob.yaml")
	var c cronJob
	spec(t, objects["CronJob"], &c)
	if c.Schedule != "*/5 * * * *" || c.ConcurrencyPolicy != "Forbid" {
		t.Errorf("schedule %q, concurrency %q", c.Schedule, c.ConcurrencyPolicy)
	}
	j := c.JobTemplate.Spec
	if j.BackoffLimit == nil || *j.BackoffLimit != 0 {
		t.Error("a failed tick is repeated before the next one is due")
	}
	// The budget of four minutes, a slice's statement timeout of one, and some air.
	if j.ActiveDeadlineSeconds < 5*60+30 {
		t.Errorf("a tick is killed after %d s, within its budget", j.ActiveDeadlineSeconds)
	}
	if claim := objects["PersistentVolumeClaim"].Metadata.Name; claim != j.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName {
		t.Errorf("the claim is called %q, the volume wants another", claim)
	}
}

func TestTheJobsDifferInNothingThatMatters(t *testing.T) {
	all := jobs(t)
	tick, backfill := all["cronjob.yaml"].Template.Spec, all["backfill-job.yaml"].Template.Spec
	if !slices.Equal(tick.Containers[0].Args, []string{"run"}) || !slices.Equal(backfill.Containers[0].Args, []string{"backfill"}) {
		t.Errorf("args %q and %q", tick.Containers[0].Args, backfill.Containers[0].Args)
	}
	backfill.RestartPolicy, backfill.Containers[0].Args = tick.RestartPolicy, tick.Containers[0].Args
	a, errA := yaml.Marshal(tick)
	b, errB := yaml.Marshal(backfill)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("beyond command and restarts the pods differ:\n%s\n%s", a, b)
	}
}

func TestThePodsHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	for name, j := range jobs(t) {
		p := j.Template.Spec
		if len(p.Containers) != 1 {
			t.Fatalf("%s: %d containers", name, len(p.Containers))
		}
		c := p.Containers[0]
		s := p.SecurityContext
		for what, ok := range map[string]bool{
			"runs as a user other than root":       s.RunAsNonRoot && s.RunAsUser > 0 && s.RunAsGroup > 0,
			"owns its volume":                      s.FSGroup == s.RunAsGroup,
			"has the default seccomp profile":      s.SeccompProfile.Type == "RuntimeDefault",
			"cannot gain privileges":               c.SecurityContext.AllowPrivilegeEscalation != nil && !*c.SecurityContext.AllowPrivilegeEscalation,
			"has a read-only root":                 c.SecurityContext.ReadOnlyRootFilesystem,
			"has no capabilities":                  slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}),
			"has no service account token":         p.AutomountServiceAccountToken != nil && !*p.AutomountServiceAccountToken,
			"sees no other service's variables":    p.EnableServiceLinks != nil && !*p.EnableServiceLinks,
			"requests and limits memory":           c.Resources.Requests["memory"] != "" && c.Resources.Limits["memory"] != "",
			"requests CPU":                         c.Resources.Requests["cpu"] != "",
			"has the DSN from a mounted secret":    p.dsnFile() != "" && p.dsnFile() == value(c.Env, "MULTICA_ROLLUP_DSN_FILE") && !slices.ContainsFunc(c.Env, holdsASecret),
			"mounts the state where it is told to": c.VolumeMounts[0].MountPath == value(c.Env, "MULTICA_ROLLUP_STATE_DIR"),
			"is near the others of its kind":       p.Affinity["podAffinity"] != nil && j.Template.Metadata.Labels["app.kubernetes.io/name"] == "multica-rollup",
		} {
			if !ok {
				t.Errorf("%s: not true that the pod %s", name, what)
			}
		}
	}
}

// holdsASecret tells whether a variable has what belongs into a file.
func holdsASecret(e envVar) bool {
	return e.Name == "DATABASE_URL" || e.Name == "MULTICA_ROLLUP_DSN" || e.Name == "PGPASSWORD"
}

func value(env []envVar, name string) string {
	i := slices.IndexFunc(env, func(e envVar) bool { return e.Name == name })
	if i < 0 {
		return ""
	}
	return env[i].Value
}
