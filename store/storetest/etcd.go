package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"falcon/store"
)

// EtcdServer is one real server on the loopback device.
type EtcdServer struct {
	Endpoint string // host:port
	pki      *PKI   // nil without TLS
	host     string
	cluster  string // all members' peer URLs; empty for one that is alone
	dir      string
	flags    []string

	process *os.Process
	exited  chan struct{} // closed when process has ended
}

// StartEtcd starts a server that lives as long as the test, and waits until it serves. Extra flags are for
// etcd. It fails the test where the etcd binary is missing.
func StartEtcd(t testing.TB, flags ...string) *EtcdServer {
	t.Helper()
	return startEtcd(t, &EtcdServer{host: loopbackHost(), flags: flags})
}

// StartSecureEtcd starts one that asks its clients for a certificate of the same authority as its own.
func StartSecureEtcd(t testing.TB, pki *PKI, flags ...string) *EtcdServer {
	t.Helper()
	return startEtcd(t, &EtcdServer{host: pki.host, pki: pki, flags: flags})
}

// StartEtcdCluster starts a cluster of some servers.
func StartEtcdCluster(t testing.TB, size int) []*EtcdServer {
	t.Helper()
	servers := make([]*EtcdServer, size)
	peers := make([]string, size)
	for i := range servers {
		servers[i] = &EtcdServer{host: loopbackHost()}
		peers[i] = servers[i].name() + "=" + servers[i].peerURL()
	}
	for _, s := range servers {
		s.cluster = strings.Join(peers, ",")
		s.prepare(t)
		s.Launch(t) // none becomes ready without the others
	}
	for _, s := range servers {
		s.waitReady(t)
	}
	return servers
}

func startEtcd(t testing.TB, s *EtcdServer) *EtcdServer {
	t.Helper()
	s.prepare(t)
	s.Start(t)
	return s
}

func (s *EtcdServer) prepare(t testing.TB) {
	s.Endpoint = s.host + ":23790"
	s.dir = t.TempDir()
	t.Cleanup(func() {
		s.Kill(t)
		if t.Failed() {
			s.dump(t)
		}
	})
}

// loopbackHost is an address for one server. All of 127/8 is the loopback device, so a random one needs no
// search for a free port, and keeps its port through a restart.
func loopbackHost() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// Start starts the server again, on the same data.
func (s *EtcdServer) Start(t testing.TB) {
	t.Helper()
	s.Launch(t)
	s.waitReady(t)
}

// Launch starts it without waiting until it serves: a member of a cluster may need others for that.
func (s *EtcdServer) Launch(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatalf("etcd is needed (Debian: etcd-server): %v", err)
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, s.arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that crashes
	started := make(chan error)
	s.exited = make(chan struct{})
	go func(exited chan<- struct{}) {
		// The kernel takes the end of the thread that started the child for the parent's.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // it ends by our signal, or waitReady notices
		}
	}(s.exited)
	if err := <-started; err != nil {
		t.Fatalf("start etcd: %v", err)
	}
}

func (s *EtcdServer) arguments() []string {
	client, peer := s.url(), s.peerURL()
	cluster := s.cluster
	if cluster == "" {
		cluster = s.name() + "=" + peer
	}
	arguments := []string{
		"--name", s.name(), "--data-dir", s.dataDir(),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
		"--heartbeat-interval", "20", "--election-timeout", "200", // ms: a quick start and short leases
		"--bcrypt-cost", "4", "--logger", "zap",
	}
	if s.pki != nil {
		arguments = append(arguments, "--client-cert-auth", "--trusted-ca-file", s.pki.CAFile,
			"--cert-file", s.pki.CertFile, "--key-file", s.pki.KeyFile)
	}
	return append(arguments, s.flags...)
}

// waitReady blocks until the server has a leader and answers.
func (s *EtcdServer) waitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func(exited <-chan struct{}) {
		select {
		case <-exited:
			cancel()
		case <-ctx.Done():
		}
	}(s.exited)
	client := s.Client(t)
	defer client.Close()
	_, err := client.Get(ctx, "ready")
	var answer rpctypes.EtcdError
	if err != nil && !errors.As(err, &answer) { // an error of the server's own is an answer
		s.dump(t)
		t.Fatalf("etcd does not become ready: %v", err)
	}
}

// Kill ends the server with SIGKILL and waits for its end.
func (s *EtcdServer) Kill(t testing.TB) {
	t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("kill etcd: %v", err)
	}
	<-s.exited
}

// Pause stops the server without ending it: connections stay open and nothing answers. Resume goes on.
func (s *EtcdServer) Pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	// The signal takes its time; its effect is what to wait for.
	err := unix.Waitid(unix.P_PID, s.process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
	if err != nil {
		t.Fatalf("wait for etcd to stop: %v", err)
	}
}

// Resume ends a Pause.
func (s *EtcdServer) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *EtcdServer) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.process.Signal(signal); err != nil {
		t.Fatalf("signal etcd: %v", err)
	}
}

// Wipe deletes the data of a server that was killed.
func (s *EtcdServer) Wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(s.dataDir()); err != nil {
		t.Fatal(err)
	}
}

// Config is what a store needs to reach the server.
func (s *EtcdServer) Config() store.EtcdConfig {
	config := store.EtcdConfig{Endpoints: []string{s.Endpoint}}
	if s.pki != nil {
		config.CAFile, config.CertFile, config.KeyFile = s.pki.CAFile, s.pki.CertFile, s.pki.KeyFile
	}
	return config
}

// Client is a client past the store, closed with the test.
func (s *EtcdServer) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	config := clientv3.Config{
		Endpoints: []string{s.url()},
		Logger:    zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: time.Second,
		})},
	}
	if s.pki != nil {
		config.TLS = s.pki.clientTLS(t)
	}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatalf("etcd client: %v", err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (s *EtcdServer) url() string {
	if s.pki != nil {
		return "https://" + s.Endpoint
	}
	return "http://" + s.Endpoint
}

func (s *EtcdServer) peerURL() string { return "http://" + s.host + ":23791" }
func (s *EtcdServer) name() string    { return "etcd-" + s.host }
func (s *EtcdServer) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *EtcdServer) logFile() string { return filepath.Join(s.dir, "log") }

// dump shows the end of the server's log.
func (s *EtcdServer) dump(t testing.TB) {
	const most = 4 << 10
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		t.Logf("no log of etcd: %v", err)
		return
	}
	t.Logf("etcd's log ends with:\n%s", log[max(0, len(log)-most):])
}
