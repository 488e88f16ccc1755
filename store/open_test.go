package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"falcon/store"
	"falcon/store/storetest"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	dir := filepath.Join(t.TempDir(), "state")
	for value, want := range map[string]store.Status{
		"bolt":                      {Kind: "bolt", Where: filepath.Join(dir, "falcon.db")},
		"etcd://" + server.Endpoint: {Kind: "etcd", Where: server.Endpoint, Cluster: true},
	} {
		s, err := store.Open(t.Context(), store.Config{Store: value, StateDir: dir})
		if err != nil {
			t.Errorf("open %s: %v", value, err)
			continue
		}
		want.Revision = put(t, s, "a", "1")
		if got := s.Status(t.Context()); got != want {
			t.Errorf("open %s: got %+v, want %+v", value, got, want)
		}
		closeStore(t, s)
	}
}

// TestOpenErrors: what a person did wrong is refused at once, by the name of its flag.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	pki := storetest.NewPKI(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	absent := filepath.Join(dir, "absent")
	const etcd = "etcd://127.0.0.1:1"
	for _, c := range []struct {
		name   string
		config store.Config
		says   []string
	}{
		{"bad target", store.Config{Store: "zookeeper://a:1"}, []string{`--store "zookeeper://a:1"`, `"bolt"`, "etcd://host:port"}},
		{"bolt with CA", store.Config{Store: "bolt", StateDir: dir, CAFile: pki.CAFile}, []string{`--store "bolt"`, "--store-ca"}},
		{"bolt with user", store.Config{Store: "bolt", StateDir: dir, User: "u"}, []string{`--store "bolt"`, "--store-user"}},
		{"bolt nowhere", store.Config{Store: "bolt"}, []string{"--state-dir"}},
		{"no such CA", store.Config{Store: etcd, CAFile: absent}, []string{"--store-ca", absent}},
		{"CA is no PEM", store.Config{Store: etcd, CAFile: file("ca", "text")}, []string{"--store-ca", "PEM"}},
		{"certificate without key", store.Config{Store: etcd, CertFile: pki.CertFile}, []string{"--store-cert", "--store-key"}},
		{"key without certificate", store.Config{Store: etcd, KeyFile: pki.KeyFile}, []string{"--store-cert", "--store-key"}},
		{"no such certificate", store.Config{Store: etcd, CertFile: absent, KeyFile: pki.KeyFile}, []string{"--store-cert", absent}},
		{"key of another", store.Config{Store: etcd, CertFile: pki.CertFile, KeyFile: storetest.NewPKI(t).KeyFile}, []string{"--store-key", "match"}},
		{"user without password", store.Config{Store: etcd, User: "u"}, []string{"--store-user", "--store-password-file"}},
		{"password without user", store.Config{Store: etcd, PasswordFile: absent}, []string{"--store-user", "--store-password-file"}},
		{"no such password", store.Config{Store: etcd, User: "u", PasswordFile: absent}, []string{"--store-password-file", absent}},
		{"empty password", store.Config{Store: etcd, User: "u", PasswordFile: file("empty", "\n")}, []string{"--store-password-file", "empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := store.Open(t.Context(), c.config)
			if err == nil || s != nil {
				t.Fatalf("got %v, %v", s, err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "falcon.db")); err == nil {
		t.Error("a refused configuration made a file")
	}
}

func TestEtcdConfigErrors(t *testing.T) {
	t.Parallel()
	for says, config := range map[string]store.EtcdConfig{
		"no endpoint":        {},
		"has a scheme":       {Endpoints: []string{"ftp://a:1"}},
		"allowed is host:po": {Endpoints: []string{"a"}},
		"whole seconds":      {Endpoints: []string{"a:1"}, Lease: 1500 * time.Millisecond},
	} {
		_, err := store.OpenEtcd(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("open %+v: got error %v, want one that says %q", config, err, says)
		}
	}
}
