package main

import (
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
		"--scope=world":                 {"--scope=world", "local, global"},
		"--steering=fast":               {"--steering=fast", "off, static, dynamic"},
		"--shortcut=maybe":              {"--shortcut=maybe", "on, off"},
		"--split=maybe":                 {"--split=maybe", "off, on"},
		"--log-level=loud":              {"--log-level=loud", "error, warn, info, debug"},
		"--log-format=xml":              {"--log-format=xml", "text, json"},
		"--vxlan-port=0":                {"--vxlan-port=0", "1 to 65535"},
		"--vxlan-port=65536":            {"vxlan-port", "65536"},
		"--state-dir=here":              {"--state-dir=here", "absolute"},
		"--scope=global":                {"--scope=global", "etcd://"},
		"--cpus=4000":                   {"--cpus=4000", "not online", "online are"},
		"--cpus=one":                    {"--cpus=one"},
		"--metrics-addr=127.0.0.1:9000": {"--metrics-addr", "this version"},
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
