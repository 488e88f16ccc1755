package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) error {
	t.Helper()
	var s settings
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	return s.check()
}

func TestBadFlagsNameFlagValueAndWhatIsAllowed(t *testing.T) {
	for args, want := range map[string][]string{
		"--scope=world":            {"--scope=world", "local, global"},
		"--steering=fast":          {"--steering=fast", "off, static, dynamic"},
		"--shortcut=maybe":         {"--shortcut=maybe", "on, off"},
		"--split=maybe":            {"--split=maybe", "off, on"},
		"--log-level=loud":         {"--log-level=loud", "error, warn, info, debug"},
		"--log-format=xml":         {"--log-format=xml", "text, json"},
		"--vxlan-port=0":           {"--vxlan-port=0", "1 to 65535"},
		"--vxlan-port=65536":       {"vxlan-port", "65536"},
		"--state-dir=here":         {"--state-dir=here", "absolute"},
		"--scope=global":           {"--scope=global", "etcd://"},
		"--cpus=4000":              {"--cpus=4000", "not online", "online are"},
		"--cpus=one":               {"--cpus=one"},
		"--metrics-addr=127.0.0.1": {"--metrics-addr=127.0.0.1", "HOST:PORT"},
		"--metrics-addr=:metrics":  {"--metrics-addr=:metrics", "HOST:PORT"},
		"--metrics-addr=::1":       {"--metrics-addr=::1", "HOST:PORT"},
		"--metrics-addr=70000":     {"--metrics-addr=70000", "HOST:PORT"},
	} {
		err := parse(t, args)
		if err == nil {
			t.Errorf("%s: no error", args)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q does not say %q", args, err, part)
			}
		}
	}
}

func TestMetricsAreTheLoopbacksUnlessTold(t *testing.T) {
	for given, want := range map[string]string{
		"9469": "127.0.0.1:9469", ":9469": "127.0.0.1:9469", "0.0.0.0:9469": "0.0.0.0:9469", "[::1]:9469": "[::1]:9469", "monitor:80": "monitor:80",
	} {
		if got := metricsAddress(given); got != want {
			t.Errorf("%s is %s, want %s", given, got, want)
		}
		if err := parse(t, "--metrics-addr="+given); err != nil {
			t.Errorf("%s: %v", given, err)
		}
	}
}

// The managed plugin has every setting of the daemon, with the daemon's default where the operator can set it.
func TestPluginHasEverySetting(t *testing.T) {
	text, err := os.ReadFile("packaging/plugin/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Env []struct {
			Name, Value string
			Settable    []string
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var s settings
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.flags(set)
	flags := map[string]*pflag.Flag{}
	set.VisitAll(func(f *pflag.Flag) { flags[environmentName(f.Name)] = f })
	for _, e := range config.Env {
		f, ok := flags[e.Name]
		switch {
		case !ok:
			t.Errorf("%s is no setting of the daemon", e.Name)
		case len(e.Settable) > 0 && e.Value != f.DefValue:
			t.Errorf("%s is %q, the daemon's default %q", e.Name, e.Value, f.DefValue)
		}
		if err := set.Set(f.Name, e.Value); err != nil {
			t.Errorf("%s=%q: %v", e.Name, e.Value, err)
		}
		delete(flags, e.Name)
	}
	for name := range flags {
		t.Errorf("packaging/plugin/config.json lacks %s", name)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	t.Setenv("FALCON_RUN_DIR", t.TempDir())
	cmd := statusCommand()
	cmd.SetArgs(nil)
	err := cmd.Execute()
	if err == nil || !strings.Contains(err.Error(), "falcon serve") || strings.Contains(err.Error(), defaultRunDir+"/") {
		t.Errorf("status without a daemon: %v", err)
	}
	t.Setenv("FALCON_JSON", "perhaps")
	cmd = statusCommand()
	cmd.SetArgs(nil)
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "FALCON_JSON") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestHostIDIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	first, err := hostID(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := hostID(dir); err != nil || again != first {
		t.Errorf("%s, then %s, %v", first, again, err)
	}
}
