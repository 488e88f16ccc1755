package ipam

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/docker/go-plugins-helpers/ipam"

	"falcon/store"
)

// engine plays dockerd: it makes the requests of libnetwork in their order.
type engine struct {
	t       *testing.T
	driver  *Driver
	pools   *Pools
	options map[string]string // --ipam-opt
}

func (e engine) pool(subnet, part string, v6 bool) *ipam.RequestPoolResponse {
	e.t.Helper()
	r, err := e.driver.RequestPool(e.t.Context(), &ipam.RequestPoolRequest{
		AddressSpace: LocalSpace, Pool: subnet, SubPool: part, Options: e.options, V6: v6,
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e engine) address(id, address string, options map[string]string) string {
	e.t.Helper()
	r, err := e.driver.RequestAddress(e.t.Context(), &ipam.RequestAddressRequest{PoolID: id, Address: address, Options: options})
	if err != nil {
		e.t.Fatal(err)
	}
	return r.Address
}

func (e engine) gateway(id, address string) string {
	e.t.Helper()
	return e.address(id, address, map[string]string{"RequestAddressType": "com.docker.network.gateway"})
}

func (e engine) release(id string, addresses ...string) {
	e.t.Helper()
	for _, a := range addresses {
		a, _, _ = strings.Cut(a, "/")
		if err := e.driver.ReleaseAddress(e.t.Context(), &ipam.ReleaseAddressRequest{PoolID: id, Address: a}); err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e engine) releasePool(id string) {
	e.t.Helper()
	if err := e.driver.ReleasePool(e.t.Context(), &ipam.ReleasePoolRequest{PoolID: id}); err != nil {
		e.t.Fatal(err)
	}
}

func newEngine(t *testing.T, s store.Store, name, network string) engine {
	p := host(t, s, name, newClock())
	return engine{t, NewDriver(p), p, map[string]string{OptionNetwork: network}}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// The life of a network on two hosts, the second of which gives no subnet, as libnetwork goes about it.
func TestDockerFlow(t *testing.T) {
	s := newMemory()
	one, two := newEngine(t, s, "one", "web"), newEngine(t, s, "two", "web")

	p1 := one.pool("10.1.0.0/24", "10.1.0.128/25", false)
	want(t, "pool", p1.Pool+" "+p1.PoolID, "10.1.0.0/24 web#10.1.0.0/24#10.1.0.128/25")
	want(t, "gateway", one.gateway(p1.PoolID, ""), "10.1.0.1/24")
	want(t, "auxiliary", one.address(p1.PoolID, "10.1.0.9", nil), "10.1.0.9/24")
	if err := one.pools.Bind(t.Context(), LocalSpace, "web", prefix(p1.Pool)); err != nil {
		t.Fatal(err)
	}
	want(t, "container", one.address(p1.PoolID, "", nil), "10.1.0.128/24")
	want(t, "container --ip", one.address(p1.PoolID, "10.1.0.20", nil), "10.1.0.20/24")
	want(t, "container of Docker 29", one.address(p1.PoolID, "", map[string]string{"com.docker.network.endpoint.name": "c"}), "10.1.0.129/24")

	p2 := two.pool("", "", false)
	want(t, "second host's pool", p2.Pool+" "+p2.PoolID, "10.1.0.0/24 web#10.1.0.0/24")
	want(t, "second host's gateway", two.gateway(p2.PoolID, ""), "10.1.0.1/24")
	if err := two.pools.Bind(t.Context(), LocalSpace, "web", prefix(p2.Pool)); err != nil {
		t.Fatal(err)
	}
	want(t, "second host's container", two.address(p2.PoolID, "", nil), "10.1.0.2/24")
	_, err := two.driver.RequestAddress(t.Context(), &ipam.RequestAddressRequest{PoolID: p2.PoolID, Address: "10.1.0.20"})
	if !errors.Is(err, ErrTaken) {
		t.Errorf("address of the other host: got %v", err)
	}

	// dockerd of the first host restarts and replays, with the subnet spelled out.
	replayed := one.pool("10.1.0.0/24", "10.1.0.128/25", false)
	want(t, "replayed pool", replayed.PoolID, p1.PoolID)
	want(t, "replayed gateway", one.gateway(p1.PoolID, "10.1.0.1"), "10.1.0.1/24")
	want(t, "replayed auxiliary", one.address(p1.PoolID, "10.1.0.9", nil), "10.1.0.9/24")
	want(t, "replayed container", one.address(p1.PoolID, "10.1.0.128", nil), "10.1.0.128/24")

	one.release(p1.PoolID, "10.1.0.128/24", "10.1.0.20", "10.1.0.129")
	one.release(p1.PoolID, "10.1.0.1", "10.1.0.9")
	one.releasePool(p1.PoolID)
	if err := one.pools.Unbind(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	want(t, "gateway of the remaining host", two.gateway(p2.PoolID, "10.1.0.1"), "10.1.0.1/24")
	two.release(p2.PoolID, "10.1.0.2", "10.1.0.1")
	two.releasePool(p2.PoolID)
	if err := two.pools.Unbind(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if len(s.records) != 0 {
		t.Errorf("left: %v", s.records)
	}
}

// Another network driver with falcon's addresses: nothing is ever bound.
func TestDockerFlowOfAnotherDriver(t *testing.T) {
	s := newMemory()
	e := newEngine(t, s, "one", "web")
	e.options = nil
	id := e.pool("10.1.0.0/24", "", false).PoolID
	want(t, "ID", id, "@one#10.1.0.0/24")
	e.gateway(id, "")
	given := []string{e.address(id, "", nil), e.address(id, "10.1.0.20", nil)}
	for _, a := range given { // replay
		a, _, _ = strings.Cut(a, "/")
		e.address(id, a, nil)
	}
	e.release(id, given...)
	e.release(id, "10.1.0.1")
	e.releasePool(id)
	if len(s.records) != 0 {
		t.Errorf("left: %v", s.records)
	}
}

func TestDockerDefaults(t *testing.T) {
	s := newMemory()
	one, two := newEngine(t, s, "one", "web"), newEngine(t, s, "two", "web")
	for _, v6 := range []bool{false, true} {
		first, second := one.pool("", "", v6), two.pool("", "", v6)
		if first.PoolID != second.PoolID || first.PoolID != "web#"+first.Pool || prefix(first.Pool).Addr().Is6() != v6 {
			t.Errorf("got %+v and %+v", first, second)
		}
	}
	caps, err := one.driver.GetCapabilities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(caps)
	want(t, "capabilities", string(b), `{"RequiresMACAddress":false,"RequiresRequestReplay":true}`)
	spaces, err := one.driver.GetDefaultAddressSpaces(t.Context())
	if err != nil || spaces.LocalDefaultAddressSpace != "falcon-local" || spaces.GlobalDefaultAddressSpace != "falcon-global" {
		t.Errorf("got %+v, %v", spaces, err)
	}
	r, err := one.driver.RequestPool(t.Context(), &ipam.RequestPoolRequest{AddressSpace: GlobalSpace, Pool: "fd00::/64"})
	if err != nil || r.PoolID != "@global#fd00::/64" {
		t.Errorf("swarm, which does not set V6: got %+v, %v", r, err)
	}
}

func TestDockerInput(t *testing.T) {
	e := newEngine(t, newMemory(), "one", "web")
	for _, tt := range []struct {
		name string
		r    ipam.RequestPoolRequest
		says []string
	}{
		{"empty body", ipam.RequestPoolRequest{}, []string{"AddressSpace", `""`, LocalSpace}},
		{"address space", ipam.RequestPoolRequest{AddressSpace: "x"}, []string{`"x"`, LocalSpace, GlobalSpace}},
		{"bad CIDR", ipam.RequestPoolRequest{Pool: "10.1.0.0"}, []string{"--subnet", `"10.1.0.0"`, "CIDR"}},
		{"host bits", ipam.RequestPoolRequest{Pool: "10.1.0.5/24"}, []string{`"10.1.0.5/24"`, "host bits", "10.1.0.0/24"}},
		{"sized default", ipam.RequestPoolRequest{Pool: "0.0.0.0/24"}, []string{"unspecified"}},
		{"multicast", ipam.RequestPoolRequest{Pool: "ff02::/64"}, []string{"multicast", "unicast"}},
		{"family", ipam.RequestPoolRequest{Pool: "10.1.0.0/24", V6: true}, []string{`"10.1.0.0/24"`, "IPv6"}},
		{"range without subnet", ipam.RequestPoolRequest{SubPool: "10.1.0.0/25"}, []string{"--ip-range", "--subnet"}},
		{"range outside", ipam.RequestPoolRequest{Pool: "10.1.0.0/24", SubPool: "10.2.0.0/25"}, []string{"--ip-range", `"10.2.0.0/25"`, "10.1.0.0/24"}},
		{"range too large", ipam.RequestPoolRequest{Pool: "10.1.0.0/24", SubPool: "10.0.0.0/8"}, []string{"--ip-range", "within"}},
		{"range of the other family", ipam.RequestPoolRequest{Pool: "10.1.0.0/24", SubPool: "fd00::/64"}, []string{"--ip-range", "within"}},
		{"bad range", ipam.RequestPoolRequest{Pool: "10.1.0.0/24", SubPool: "x"}, []string{"--ip-range", `"x"`, "CIDR"}},
		{"name", ipam.RequestPoolRequest{Options: map[string]string{OptionNetwork: "a b"}}, []string{"falcon.network", `"a b"`, "letters"}},
		{"option", ipam.RequestPoolRequest{Options: map[string]string{"falcon.x": "1"}}, []string{"falcon.x", `"1"`, "falcon.network"}},
	} {
		if tt.r.AddressSpace == "" && tt.name != "empty body" {
			tt.r.AddressSpace = LocalSpace
		}
		_, err := e.driver.RequestPool(t.Context(), &tt.r)
		for _, s := range tt.says {
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), s) {
				t.Errorf("%s: got %v, want it to say %s", tt.name, err, s)
			}
		}
	}

	good := e.pool("10.1.0.0/24", "10.1.0.0/24", false).PoolID
	want(t, "a range that is the subnet", good, "web#10.1.0.0/24")
	for _, tt := range []struct{ id, address, says string }{
		{"", "", "PoolID"},
		{"web", "10.1.0.1", "PoolID"},
		{good, "10.1.0", `"10.1.0"`},
		{good, "fe80::1%eth0", "IP address"},
		{good, "10.1.0.255", "broadcast"},
	} {
		_, err := e.driver.RequestAddress(t.Context(), &ipam.RequestAddressRequest{PoolID: tt.id, Address: tt.address})
		released := e.driver.ReleaseAddress(t.Context(), &ipam.ReleaseAddressRequest{PoolID: tt.id, Address: tt.address})
		for _, err := range []error{err, released} {
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%+v: got %v", tt, err)
			}
		}
	}
	if err := e.driver.ReleaseAddress(t.Context(), &ipam.ReleaseAddressRequest{PoolID: good}); !errors.Is(err, ErrInput) {
		t.Errorf("release of nothing: got %v", err)
	}
	if err := e.driver.ReleasePool(t.Context(), &ipam.ReleasePoolRequest{}); !errors.Is(err, ErrInput) {
		t.Errorf("release of no pool: got %v", err)
	}
	want(t, "IPv4 in IPv6 form", e.address(good, "::ffff:10.1.0.7", nil), "10.1.0.7/24")
}
