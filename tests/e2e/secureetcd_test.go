package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"falcon/store/storetest"
	"falcon/tests/lab"
)

const (
	secureDir  = "/etc/falcon" // for certificates and passwords
	securePort = "23790"
	storeUser  = "falcon"
)

// Falcon keeps its state in an etcd that asks for a certificate and a password, with the rights to its own keys alone.
func TestSecureEtcd(t *testing.T) {
	f := single.open(t)
	e := f.startSecureEtcd(t)
	flags := []string{"--store=etcd://" + e.endpoint, "--store-ca=" + secureDir + "/ca.pem", "--store-cert=" + secureDir + "/cert.pem",
		"--store-key=" + secureDir + "/key.pem"}
	login := []string{"--store-user=" + storeUser, "--store-password-file=" + secureDir + "/password"}

	f.stopFalcon(f.h1)
	other := slices.Concat(flags, []string{otherRun, otherState, otherPlugins})
	f.write(f.h1, secureDir+"/wrong", "not the secret")
	f.doesNotStart(nil, append(other, "--store-user="+storeUser, "--store-password-file="+secureDir+"/wrong"), []string{`--store-user "falcon"`, "password"})
	f.doesNotStart(nil, other, []string{"give --store-user"})

	f.restartFalcon(f.h1, slices.Concat(flags, login)...)
	f.network(f.h1, "safe", "-d", "falcon", "--subnet", "10.74.0.0/24")
	one, two := f.box(f.h1, "safe", "one"), f.box(f.h1, "safe", "two")
	two.serve(t)
	one.reaches(t, two.v4, two.Name)
	f.healthy(f.h1)
	if s := f.status(f.h1).Store; s.Kind != "etcd" || s.Where != e.endpoint {
		t.Errorf("store: %+v", s)
	}
	if err := e.ask(t.Context(), "kv/range", map[string]any{"key": []byte("/falcon/schema")}, nil); err == nil {
		t.Error("etcd answers without a password: the test proves nothing")
	}
}

// secureEtcd is an etcd inside of a host.
type secureEtcd struct {
	endpoint string
	client   *http.Client
}

// startSecureEtcd starts one on the first host, until the end of the test, with falcon's user in it.
func (f *fixture) startSecureEtcd(t *testing.T) *secureEtcd {
	t.Helper()
	pki := storetest.NewPKI(t)
	for name, file := range map[string]string{"ca.pem": pki.CAFile, "cert.pem": pki.CertFile, "key.pem": pki.KeyFile} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f.write(f.h1, path.Join(secureDir, name), string(content))
	}
	f.write(f.h1, secureDir+"/password", "secret\n")
	host := serverAddress(t, pki)
	e := &secureEtcd{endpoint: host.String() + ":" + securePort}
	url, peer := "https://"+e.endpoint, "http://"+host.String()+":23791"
	f.run(f.h1, "mkdir", "-p", "/tmp/etcd")
	process, err := f.h1.Start(context.Background(), commandLimit, "etcd", "--name", "safe", "--data-dir", "/tmp/etcd",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "safe="+peer,
		"--client-cert-auth", "--trusted-ca-file", secureDir+"/ca.pem", "--cert-file", secureDir+"/cert.pem", "--key-file", secureDir+"/key.pem",
		"--heartbeat-interval", "20", "--election-timeout", "200", "--bcrypt-cost", "4")
	if err != nil {
		t.Fatal(err)
	}
	f.atEnd(func(ctx context.Context) error {
		_, _ = process.Stop() // tells of the interrupt
		_, err := f.h1.Exec(ctx, "rm", "-r", "/tmp/etcd")
		return err
	})
	e.client = e.newClient(t, f.h1, pki)
	f.eventually(func() error { return e.ask(t.Context(), "maintenance/status", struct{}{}, nil) })
	e.closeDoors(t)
	return e
}

// serverAddress is the one for which the test's certificate is.
func serverAddress(t *testing.T, pki *storetest.PKI) netip.Addr {
	t.Helper()
	content, err := os.ReadFile(pki.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := netip.AddrFromSlice(certificate.IPAddresses[0])
	return address.Unmap()
}

func (e *secureEtcd) newClient(t *testing.T, h *lab.Host, pki *storetest.PKI) *http.Client {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(pki.CertFile, pki.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(pki.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := h.HTTPClient("tcp", e.endpoint)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}}
	client.Timeout = 5 * time.Second
	return client
}

// closeDoors lets nobody in without a password, and falcon to its own keys only.
func (e *secureEtcd) closeDoors(t *testing.T) {
	t.Helper()
	type object = map[string]any
	own := object{"permType": "READWRITE", "key": []byte("/falcon/"), "range_end": []byte("/falcon0")}
	for _, c := range []struct {
		method string
		body   object
	}{
		{"auth/user/add", object{"name": "root", "password": "root"}},
		{"auth/role/add", object{"name": "root"}},
		{"auth/user/grant", object{"user": "root", "role": "root"}},
		{"auth/user/add", object{"name": storeUser, "password": "secret"}},
		{"auth/role/add", object{"name": "falcon"}},
		{"auth/role/grant", object{"name": "falcon", "perm": own}},
		{"auth/user/grant", object{"user": storeUser, "role": "falcon"}},
		{"auth/enable", object{}},
	} {
		if err := e.ask(t.Context(), c.method, c.body, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// ask makes a request of etcd's JSON gateway.
func (e *secureEtcd) ask(ctx context.Context, method string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+e.endpoint+"/v3/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask etcd %s: %w", method, err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status + ": " + string(content))
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(content, answer)
	}
	if err != nil {
		return fmt.Errorf("ask etcd %s: %w", method, err)
	}
	return nil
}
