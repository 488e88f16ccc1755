package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"falcon/store"
	"falcon/store/storetest"
)

func TestEtcd(t *testing.T) {
	server := storetest.StartEtcd(t)
	var opened atomic.Int64
	storetest.Run(t, func(t *testing.T) store.Store {
		config := server.Config()
		config.Prefix = fmt.Sprintf("/test-%d/", opened.Add(1)) // each test has the server to itself
		return openEtcd(t, config)
	})
}

func openEtcd(t testing.TB, config store.EtcdConfig) *store.Etcd {
	t.Helper()
	s, err := store.OpenEtcd(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
