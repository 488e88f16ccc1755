package ipam

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

var nameExpression = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

func TestParseOptions(t *testing.T) {
	for _, tt := range []struct {
		options map[string]string
		want    string
		says    []string // of an error
	}{
		{nil, "", nil},
		{map[string]string{"com.docker.network.ipam.serial": "true", "other": ""}, "", nil},
		{map[string]string{"falcon.network": "web"}, "web", nil},
		{map[string]string{"falcon.network": ""}, "", []string{"falcon.network", `""`, "letters"}},
		{map[string]string{"falcon.network": "@h2"}, "", []string{"falcon.network", `"@h2"`, "letters"}},
		{map[string]string{"falcon.network": "-web"}, "", []string{"first one"}},
		{map[string]string{"falcon.vni": "7"}, "", []string{"falcon.vni", `"7"`, "only falcon.network"}},
	} {
		got, err := parseOptions(tt.options)
		if got != tt.want || (err != nil) != (tt.says != nil) {
			t.Errorf("%v: got %q, %v", tt.options, got, err)
		}
		for _, s := range tt.says {
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), s) {
				t.Errorf("%v: got %v, want it to say %s", tt.options, err, s)
			}
		}
	}
}

func FuzzParseOptions(f *testing.F) {
	f.Add("falcon.network", "web")
	f.Add("falcon.network", "@x")
	f.Add("falcon.", "")
	f.Add("com.docker.network.x", "y")
	f.Fuzz(func(t *testing.T, key, value string) {
		name, err := parseOptions(map[string]string{key: value})
		switch ours := strings.HasPrefix(key, "falcon."); {
		case !ours && (err != nil || name != ""),
			ours && key != OptionNetwork && err == nil,
			key == OptionNetwork && (err == nil) != nameExpression.MatchString(value),
			err == nil && key == OptionNetwork && name != value:
			t.Fatalf("%q=%q: got %q, %v", key, value, name, err)
		}
	})
}

func TestNew(t *testing.T) {
	good := Config{Store: newMemory(), HostID: "h1", Routes: fixedRoutes(nil), Log: silent()}
	if p, err := New(good); err != nil || p.now == nil {
		t.Errorf("got %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"store":  func(c *Config) { c.Store = nil },
		"routes": func(c *Config) { c.Routes = nil },
		"log":    func(c *Config) { c.Log = nil },
		"host":   func(c *Config) { c.HostID = "a/b" },
		"global": func(c *Config) { c.HostID = "global" },
		"empty":  func(c *Config) { c.HostID = "" },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
