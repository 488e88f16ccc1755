package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/ipam"
	"falcon/store"
)

type noRoutes struct{}

func (noRoutes) Routes(context.Context) ([]netip.Prefix, error) { return nil, nil }

// plugin is a running server and a client that talks to it as Docker does.
type plugin struct {
	host
	handler *Handler
	client  http.Client
	stop    context.CancelFunc
	ended   chan error
}

func newPlugin(t *testing.T) *plugin {
	t.Helper()
	s := openBolt(t)
	p := &plugin{host: newHost(t, s, "a", "192.0.2.1"), ended: make(chan error, 1)}
	p.serve(t, s)
	return p
}

func (p *plugin) serve(t *testing.T, s store.Store) {
	t.Helper()
	pools, err := ipam.New(ipam.Config{Store: s, HostID: "a", Routes: noRoutes{}, Log: quietLog(t)})
	must(t, err)
	dir := t.TempDir()
	socket := filepath.Join(dir, PluginSocket)
	l, err := Listen(t.Context(), socket)
	must(t, err)
	api, err := Listen(t.Context(), filepath.Join(dir, APISocket))
	must(t, err)
	p.handler = NewHandler(p.Driver, ipam.NewDriver(pools), "local", quietLog(t))
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.ended <- Serve(ctx, []net.Listener{l}, p.handler, Service{api, NewAPI(p.Driver)}) }()
	t.Cleanup(stop)
	p.client = http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(p.client.CloseIdleConnections)
}

// call posts a body and returns the answer's status and text.
func (p *plugin) call(t *testing.T, method, body string) (int, string) {
	t.Helper()
	res, err := p.client.Post("http://plugin/"+method, "application/json", strings.NewReader(body))
	must(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(answer)
}

// methods is every call that engines from 20.10 to 29 make (moby: libnetwork/drivers/remote, libnetwork/ipams/remote).
var methods = []string{
	"NetworkDriver.GetCapabilities", "NetworkDriver.GwAllocCheck", "NetworkDriver.AllocateNetwork", "NetworkDriver.FreeNetwork",
	"NetworkDriver.CreateNetwork", "NetworkDriver.DeleteNetwork", "NetworkDriver.CreateEndpoint", "NetworkDriver.DeleteEndpoint",
	"NetworkDriver.EndpointOperInfo", "NetworkDriver.Join", "NetworkDriver.Leave", "NetworkDriver.ProgramExternalConnectivity",
	"NetworkDriver.RevokeExternalConnectivity", "NetworkDriver.DiscoverNew", "NetworkDriver.DiscoverDelete",
	"IpamDriver.GetCapabilities", "IpamDriver.GetDefaultAddressSpaces", "IpamDriver.RequestPool", "IpamDriver.ReleasePool",
	"IpamDriver.RequestAddress", "IpamDriver.ReleaseAddress",
}

// withoutArguments are sent without a body.
func withoutArguments(method string) bool {
	return strings.HasSuffix(method, "GetCapabilities") || strings.HasSuffix(method, "GetDefaultAddressSpaces")
}

func TestEveryMethodIsRoutedAndRefusesWhatIsNoRequest(t *testing.T) {
	p := newPlugin(t)
	if _, answer := p.call(t, "Plugin.Activate", ""); !strings.Contains(answer, "NetworkDriver") || !strings.Contains(answer, "IpamDriver") {
		t.Errorf("manifest %s", answer)
	}
	for _, method := range methods {
		if withoutArguments(method) {
			for _, body := range []string{"", "null"} {
				if status, answer := p.call(t, method, body); status != http.StatusOK {
					t.Errorf("%s: %d %s", method, status, answer)
				}
			}
			continue
		}
		for body, says := range map[string]string{"": "body is empty", "{": "malformed JSON", "[]": "malformed JSON", strings.Repeat(" ", maxRequest+1): "too large"} {
			status, answer := p.call(t, method, body)
			var failure network.ErrorResponse
			if err := json.Unmarshal([]byte(answer), &failure); err != nil || status != http.StatusInternalServerError || !strings.Contains(failure.Err, says) {
				t.Errorf("%s with body %.3q: %d %s, want an error that says %q", method, body, status, answer, says)
			}
		}
	}
}

func TestCapabilities(t *testing.T) {
	p := newPlugin(t)
	_, answer := p.call(t, "NetworkDriver.GetCapabilities", "")
	for _, part := range []string{`"Scope":"local"`, `"ConnectivityScope":"global"`, `"GwAllocChecker":true`} {
		if !strings.Contains(answer, part) {
			t.Errorf("network driver: %s lacks %s", answer, part)
		}
	}
	if _, answer := p.call(t, "IpamDriver.GetCapabilities", ""); !strings.Contains(answer, `"RequiresRequestReplay":true`) {
		t.Errorf("IPAM driver: %s", answer)
	}
	if _, answer := p.call(t, "NetworkDriver.GwAllocCheck", `{"Options":{}}`); answer != "{\"SkipIPv4\":false,\"SkipIPv6\":false}\n" {
		t.Errorf("GwAllocCheck: %s", answer)
	}
}

func TestPerformEndsWithItsDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	hang := func(context.Context, *empty) (*empty, error) { <-release; return &empty{}, nil }
	_, err := perform(ctx, newInflight(), bytes.NewReader(nil), hang)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestShutdownAnswersRequestsInHand(t *testing.T) {
	p := newPlugin(t)
	leave, err := p.reconciler.enter(t.Context()) // whoever wants to change the kernel waits now
	must(t, err)
	answered := make(chan string, 1)
	go func() {
		_, answer := p.call(t, "NetworkDriver.CreateNetwork", `{"NetworkID":"n","IPv4Data":[{"Pool":"10.1.0.0/24"}]}`)
		answered <- answer
	}()
	eventually(t, "the request waits", func() bool { _, ok := p.view.membership("a", "n"); return ok })
	p.stop()
	leave()
	if answer := <-answered; answer != "{}\n" {
		t.Errorf("the request in hand was answered with %s", answer)
	}
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.client.CloseIdleConnections()
	if _, err := p.client.Post("http://plugin/Plugin.Activate", "application/json", nil); err == nil {
		t.Error("still listening")
	}
}

func TestOnlyOneAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	must(t, err)
	if _, err := Lock(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("second lock: %v", err)
	}
	must(t, first.Close())
	again, err := Lock(dir)
	must(t, err)
	defer again.Close()

	socket := filepath.Join(dir, "s")
	l, err := Listen(t.Context(), socket)
	must(t, err)
	if _, err := Listen(t.Context(), socket); !errors.Is(err, ErrRunning) {
		t.Errorf("second listener: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	must(t, l.Close())
	l, err = Listen(t.Context(), socket)
	must(t, err)
	must(t, l.Close())
}

func FuzzRequests(f *testing.F) {
	f.Add(`{"NetworkID":"n","EndpointID":"aaaaaaaaaaaa","Interface":{"Address":"10.1.0.2/24","MacAddress":"02:42:0a:01:00:02"}}`)
	f.Add(`{"NetworkID":"n","EndpointID":"aaaaaaaaaaaa","Interface":{"AddressIPv6":"fd00::2/64"}}`)
	f.Add(`null`)
	n := store.Network{Name: "n", VNI: 1, MTU: 1450, Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00::/64")}}
	f.Fuzz(func(t *testing.T, raw string) {
		req, err := decodeRequest[network.CreateEndpointRequest](strings.NewReader(raw))
		if err != nil {
			return
		}
		e, err := parseEndpoint(req, n)
		if err != nil {
			return
		}
		for _, a := range e.Addresses {
			if !n.Subnets[0].Contains(a.Addr()) && !n.Subnets[1].Contains(a.Addr()) {
				t.Errorf("accepted %v", a)
			}
		}
	})
}
