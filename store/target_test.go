package store

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for value, want := range map[string][]string{
		"bolt":                            nil,
		"etcd://127.0.0.1:2379":           {"127.0.0.1:2379"},
		"etcd://a:1,b.example:02,[::1]:3": {"a:1", "b.example:2", "[::1]:3"},
		"etcd://ETCD-0:2379":              {"etcd-0:2379"},
		"etcd://[2001:DB8:0::1]:65535":    {"[2001:db8::1]:65535"},
	} {
		target, err := ParseTarget(value)
		if err != nil || !slices.Equal(target.Endpoints, want) {
			t.Errorf("parse %q: got %v, %v, want %v", value, target.Endpoints, err, want)
		}
	}
	for _, value := range []string{
		"", "Bolt", "bolt:", "bolt:///var/lib", "etcd", "etcd:", "etcd:a:1", "etcd://", "etcd://a", "etcd://a:",
		"etcd://:2379", "etcd://a:0", "etcd://a:65536", "etcd://a:-1", "etcd://a:+1", "etcd://a:x", "etcd://a:1,",
		"etcd://,a:1", "etcd://a:1,a:1", "etcd://a:1,A:01", "etcd://a:1/", "etcd://a:1/falcon", "etcd://u:p@a:1",
		"etcd://u@a:1", "etcd://::1:2379", "etcd://[fe80::1%eth0]:2379", "etcd://a b:1", "etcd://a:1 ", "etcd://-a:1",
		"etcd://http://a:1", "http://a:1", "https://a:1", "etcds://a:1", " etcd://a:1", "etcd://a:1;b:1",
	} {
		_, err := ParseTarget(value)
		if err == nil {
			t.Errorf("parse %q: no error", value)
			continue
		}
		if !strings.Contains(err.Error(), "--store") || !strings.Contains(err.Error(), "allowed are") {
			t.Errorf("parse %q: error %q does not say what is allowed", value, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"bolt", "etcd://a:1", "etcd://[::1]:2379,b.example:2", "etcd://[fe80::1%25eth0]:1", "etcd://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		target, err := ParseTarget(value)
		if err != nil {
			return
		}
		again, err := ParseTarget(target.String())
		if err != nil || !slices.Equal(again.Endpoints, target.Endpoints) {
			t.Errorf("%q became %v, then %v, %v", value, target.Endpoints, again.Endpoints, err)
		}
	})
}
