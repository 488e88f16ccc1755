package e2e

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// steeredLoad is traffic to a container of h2, of which h2's NIC gets frames as from a wire.
type steeredLoad struct {
	generator *load.Generator
	reader    *load.UDPReader
	to        box
}

// Ports of the load.
const (
	loadPort     = 5201
	loadFromPort = 40000
)

// loadTo prepares flows of UDP from a container of h1 to one of h2, which reads them, in a network of both hosts.
func (f *fixture) loadTo(network string, flows int) steeredLoad {
	f.t.Helper()
	from, to := f.box(f.h1, network, "client"), f.box(f.h2, network, "server")
	l := steeredLoad{to: to}
	c := load.Config{Entry: load.NAPI, CPU: 0, Payload: 64, MTU: 1450, Tunnel: f.tunnel(network), Checksum: true}
	c.At.Namespace, c.At.Name = f.h2.Port()
	listen := netip.AddrPortFrom(to.v4, loadPort)
	for i := range flows {
		c.Flows = append(c.Flows, load.Flow{Src: netip.AddrPortFrom(from.v4, uint16(loadFromPort+i)), Dst: listen,
			SrcMAC: f.mac(from.nets[network].MacAddress), DstMAC: f.mac(to.nets[network].MacAddress), Weight: uint32(flows - i)})
	}
	err := load.EnableGRO(load.Device{Namespace: f.h2.Namespace(""), Name: "eth0"})
	if err == nil { // /var/run is a link to /run, which would lead astray outside of the host
		l.reader, err = load.StartUDPReader(load.ReaderConfig{Namespace: f.h2.Namespace(strings.TrimPrefix(to.sandbox, "/var")), CPU: 1, Listen: listen,
			Flows: flows, Payload: 64})
	}
	if err == nil {
		l.generator, err = load.New(c)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.atEnd(func(context.Context) error { return errors.Join(l.generator.Close(), l.reader.Close()) })
	return l
}

// run sends in the background, until the function returned is called.
func (l steeredLoad) run(rate float64) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := l.generator.Run(ctx, rate, time.Hour)
		ended <- err
	}()
	return func() error { cancel(); return <-ended }
}

// tunnel is that of a network's packets from h1 to h2.
func (f *fixture) tunnel(network string) *load.Tunnel {
	f.t.Helper()
	s := f.status(f.h2)
	for _, n := range s.Networks {
		if n.Name == network {
			return &load.Tunnel{VNI: n.VNI, Port: s.Host.Port, Src: f.h1.Addr, Dst: f.h2.Addr, SrcMAC: f.nicMAC(f.h1), DstMAC: f.nicMAC(f.h2)}
		}
	}
	f.t.Fatalf("h2 does not know network %s: %+v", network, s.Networks)
	return nil
}

func (f *fixture) nicMAC(h *lab.Host) load.MAC {
	f.t.Helper()
	return f.mac(f.run(h, "cat", "/sys/class/net/eth0/address"))
}

func (f *fixture) mac(s string) load.MAC {
	f.t.Helper()
	mac, err := load.ParseMAC(s)
	if err != nil {
		f.t.Fatal(err)
	}
	return mac
}
