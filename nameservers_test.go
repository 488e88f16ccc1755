package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestNameServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if got, err := nameServers(path); err != nil || len(got) > 0 {
		t.Errorf("without a file: %v, %v", got, err)
	}
	content := "# nameserver 192.0.2.9\nsearch example.org\nnameserver 10.160.0.53\nnameserver\tfe80::1%eth0\nnameserver nonsense\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := nameServers(path)
	if err != nil || fmt.Sprint(got) != "[10.160.0.53/32 fe80::1/128]" {
		t.Errorf("got %v, %v", got, err)
	}
}
