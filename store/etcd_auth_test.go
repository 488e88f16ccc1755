package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"falcon/store"
	"falcon/store/storetest"
)

const (
	password = "correct horse"
	prefix   = "/falcon/"
)

func TestEtcdAuth(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	enableAuth(t, server)
	for _, c := range []struct {
		name           string
		user, password string
		says           string
	}{
		{"no user", "", "", "give --store-user"},
		{"wrong password", "falcon", "battery staple", `check --store-user "falcon"`},
		{"unknown user", "eagle", password, `check --store-user "eagle"`},
		{"no rights", "nobody", password, "keys beginning with /falcon/"},
		{"too few rights", "reader", password, "keys beginning with /falcon/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := store.OpenEtcd(t.Context(), as(t, server, c.user, c.password))
			wantText(t, err, store.ErrDenied, c.says)
		})
	}

	s := openEtcd(t, as(t, server, "falcon", password+"\n")) // the newline is the file's
	w := storetest.StartWatch(t, s, "k", put(t, s, "k", "1"))
	w.Want(t, put(t, s, "k", "2"), storetest.WasPut("k", "2"))
	alive := store.AliveKey("h")
	storetest.StartKeepAlive(t, s, alive, "")
	waitKey(t, s, alive)

	// Tokens are in the server's memory: after a restart all have expired.
	server.Kill(t)
	server.Start(t)
	waitAnswer(t, s)
	w.Want(t, put(t, s, "k", "3"), storetest.WasPut("k", "3"))
	later := storetest.StartWatch(t, s, "k", put(t, s, "k", "4"))
	later.Want(t, put(t, s, "k", "5"), storetest.WasPut("k", "5"))

	// What is taken away while falcon runs.
	root := rootClient(t, server)
	if _, err := root.RoleRevokePermission(t.Context(), "falcon", prefix, clientv3.GetPrefixRangeEnd(prefix)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "a")
	wantText(t, err, store.ErrDenied, `user "falcon" needs a role`)
	_, err = s.Commit(t.Context(), nil, []store.Write{{Key: "a"}})
	wantText(t, err, store.ErrDenied, `user "falcon" needs a role`)
	err = s.Watch(t.Context(), "a", 1, func(int64, []store.Event) {})
	wantText(t, err, store.ErrDenied, `user "falcon" needs a role`)
	if status := s.Status(t.Context()); status.Error == "" {
		t.Error("status does not tell that access is denied")
	}
}

// TestEtcdAuthLate: falcon starts while etcd is down, and learns later whether its password is right.
func TestEtcdAuthLate(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	enableAuth(t, server)
	server.Kill(t)
	s, wrong := openEtcd(t, as(t, server, "falcon", password)), openEtcd(t, as(t, server, "falcon", "wrong"))
	server.Start(t)
	waitAnswer(t, s)
	put(t, s, "a", "1")
	_, err := wrong.Get(t.Context(), "a")
	wantText(t, err, store.ErrDenied, "check --store-user")
}

// TestEtcdAuthWatch: a watch of what the user may not read ends with a clear error.
func TestEtcdAuthWatch(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	enableAuth(t, server)
	s := openEtcd(t, as(t, server, "falcon", password))
	revision := put(t, s, "a", "1")
	root := rootClient(t, server)
	// From the whole prefix to the schema alone: the watch gets as far as the server.
	if _, err := root.RoleRevokePermission(t.Context(), "falcon", prefix, clientv3.GetPrefixRangeEnd(prefix)); err != nil {
		t.Fatal(err)
	}
	schema := prefix + store.SchemaKey
	if _, err := root.RoleGrantPermission(t.Context(), "falcon", schema, "", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
		t.Fatal(err)
	}
	err := s.Watch(t.Context(), "a", revision, func(int64, []store.Event) {})
	wantText(t, err, store.ErrDenied, `user "falcon" needs a role`)
}

// TestEtcdAuthWithCertificate: the password counts where the server would take the certificate's name for a user's.
func TestEtcdAuthWithCertificate(t *testing.T) {
	t.Parallel()
	server := storetest.StartSecureEtcd(t, storetest.NewPKI(t))
	enableAuth(t, server)
	s := openEtcd(t, as(t, server, "falcon", password))
	w := storetest.StartWatch(t, s, "k", put(t, s, "k", "1"))
	w.Want(t, put(t, s, "k", "2"), storetest.WasPut("k", "2"))

	_, err := store.OpenEtcd(t.Context(), as(t, server, "nobody", password))
	wantText(t, err, store.ErrDenied, "keys beginning with /falcon/")
	_, err = store.OpenEtcd(t.Context(), as(t, server, "falcon", "wrong"))
	wantText(t, err, store.ErrDenied, `check --store-user "falcon"`)
}

// enableAuth makes the users root, falcon, reader (of falcon's keys) and nobody.
func enableAuth(t *testing.T, server *storetest.EtcdServer) {
	t.Helper()
	client := server.Client(t)
	ctx := t.Context()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(client.RoleAdd(ctx, "falcon"))
	check(client.RoleAdd(ctx, "reader"))
	end := clientv3.GetPrefixRangeEnd(prefix)
	check(client.RoleGrantPermission(ctx, "falcon", prefix, end, clientv3.PermissionType(clientv3.PermReadWrite)))
	check(client.RoleGrantPermission(ctx, "reader", prefix, end, clientv3.PermissionType(clientv3.PermRead)))
	for _, user := range []string{"root", "falcon", "reader", "nobody"} {
		check(client.UserAdd(ctx, user, password))
		if user != "nobody" {
			check(client.UserGrantRole(ctx, user, user))
		}
	}
	check(client.AuthEnable(ctx))
}

func rootClient(t *testing.T, server *storetest.EtcdServer) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint}, Username: "root", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// as is the configuration of one user.
func as(t *testing.T, server *storetest.EtcdServer, user, password string) store.EtcdConfig {
	t.Helper()
	config := server.Config()
	config.Timeout = time.Second
	if user == "" {
		return config
	}
	config.User = user
	config.PasswordFile = filepath.Join(t.TempDir(), "password")
	writeFile(t, config.PasswordFile, password)
	return config
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
