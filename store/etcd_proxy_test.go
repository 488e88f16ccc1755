package store_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"falcon/store"
	"falcon/store/storetest"
)

// proxy passes connections on to a server and can lose what the server says.
type proxy struct {
	listener net.Listener
	server   string
	mute     atomic.Bool // lose replies

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	go p.serve()
	t.Cleanup(func() {
		listener.Close()
		p.cut()
	})
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go io.Copy(server, client)
		go io.Copy(&lossy{client, p}, server)
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

type lossy struct {
	io.Writer
	proxy *proxy
}

func (l *lossy) Write(b []byte) (int, error) {
	if l.proxy.mute.Load() {
		return len(b), nil
	}
	return l.Writer.Write(b)
}

// TestEtcdAmbiguous: a commit whose reply is lost has happened, and must not be taken for a conflict with
// itself or for a success.
func TestEtcdAmbiguous(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	direct := openEtcd(t, server.Config())
	for name, end := range map[string]func(*proxy){
		"silence": func(*proxy) {},
		"cut":     (*proxy).cut,
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, server.Endpoint)
			config := server.Config()
			config.Endpoints = []string{p.listener.Addr().String()}
			config.Timeout = time.Second
			s := openEtcd(t, config)
			revision := put(t, s, name, "1")
			w := storetest.StartWatch(t, direct, name, revision)

			p.mute.Store(true)
			failed := make(chan error)
			go func() {
				_, err := s.Commit(t.Context(), []store.Condition{{Key: name, Revision: revision}},
					[]store.Write{{Key: name, Value: []byte("2")}})
				failed <- err
			}()
			wantKey(t, w, name, false)
			end(p)
			p.mute.Store(name == "silence")
			err := <-failed
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) {
				t.Errorf("commit: %v", err)
			}
			if record, err := direct.Get(t.Context(), name); err != nil || string(record.Value) != "2" {
				t.Errorf("got %v, %v", record, err)
			}
		})
	}
}

// TestEtcdCutWatch: watches and leases live through the loss of their connection.
func TestEtcdCutWatch(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	p := startProxy(t, server.Endpoint)
	direct := openEtcd(t, server.Config())
	config := server.Config()
	config.Endpoints = []string{p.listener.Addr().String()}
	s := openEtcd(t, config)
	w := storetest.StartWatch(t, s, "k", put(t, direct, "k", "0"))
	for range 5 {
		w.Want(t, put(t, direct, "k", "1"), storetest.WasPut("k", "1"))
		p.cut()
		w.Want(t, put(t, direct, "k", "2"), storetest.WasPut("k", "2"))
	}
}
