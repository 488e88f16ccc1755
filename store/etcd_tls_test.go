package store_test

import (
	"os"
	"testing"
	"time"

	"falcon/store"
	"falcon/store/storetest"
)

func TestEtcdTLS(t *testing.T) {
	t.Parallel()
	pki, other := storetest.NewPKI(t), storetest.NewPKI(t)
	server := storetest.StartSecureEtcd(t, pki)
	s := openEtcd(t, server.Config())
	w := storetest.StartWatch(t, s, "a", put(t, s, "a", "1"))
	w.Want(t, put(t, s, "a", "2"), storetest.WasPut("a", "2"))

	for _, c := range []struct {
		name string
		edit func(*store.EtcdConfig)
		says string
	}{
		{"wrong CA", func(c *store.EtcdConfig) { c.CAFile = other.CAFile }, "certificate signed by unknown authority"},
		{"no client certificate", func(c *store.EtcdConfig) { c.CertFile, c.KeyFile = "", "" }, "give --store-cert"},
		{"client of another CA", func(c *store.EtcdConfig) { c.CertFile, c.KeyFile = other.CertFile, other.KeyFile }, "check that it accepts"},
		{"no TLS", func(c *store.EtcdConfig) { c.CAFile, c.CertFile, c.KeyFile = "", "", "" }, "give --store-ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := server.Config()
			config.Timeout = 500 * time.Millisecond
			c.edit(&config)
			_, err := openEtcd(t, config).Get(t.Context(), "a")
			wantText(t, err, store.ErrUnavailable, c.says)
		})
	}
}

// TestEtcdRenewedCertificate: the files are replaced, and the next connection uses the new ones.
func TestEtcdRenewedCertificate(t *testing.T) {
	t.Parallel()
	pki, other := storetest.NewPKI(t), storetest.NewPKI(t)
	server := storetest.StartSecureEtcd(t, pki)
	dir := t.TempDir()
	config := server.Config()
	config.Timeout = 300 * time.Millisecond
	config.CertFile, config.KeyFile = dir+"/cert", dir+"/key"
	copyFile(t, config.CertFile, other.CertFile)
	copyFile(t, config.KeyFile, other.KeyFile)
	s := openEtcd(t, config)
	_, err := s.Get(t.Context(), "a")
	wantText(t, err, store.ErrUnavailable, "check that it accepts")
	copyFile(t, config.CertFile, pki.CertFile)
	copyFile(t, config.KeyFile, pki.KeyFile)
	waitAnswer(t, s)
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(b))
}
