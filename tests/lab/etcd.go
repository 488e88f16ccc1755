package lab

import (
	"context"
	"net/http"
	"net/netip"
)

func (l *Lab) startEtcd(ctx context.Context) error {
	if !l.options.Etcd {
		return nil
	}
	var err error
	if l.etcdHost, err = newHost(ctx, l, "etcd", etcdNumber); err != nil {
		return err
	}
	if err := l.connect(ctx, l.etcdHost); err != nil {
		return err
	}
	l.Etcd = newEtcd(l.etcdHost)
	return l.Etcd.Start(ctx)
}

// newEtcd prepares an etcd with one member on a host of its own.
func newEtcd(h *Host) *Daemon {
	client := "http://" + h.lab.EtcdAddr()
	peer := "http://" + netip.AddrPortFrom(h.Addr, 2380).String()
	argv := []string{
		"etcd", "--name", "etcd", "--data-dir", "/var/lib/falcon/etcd",
		"--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "etcd=" + peer,
		// A single member wins every election: milliseconds to wait for the others are wasted.
		"--heartbeat-interval", "20", "--election-timeout", "200",
	}
	http1 := h.HTTPClient("tcp", "127.0.0.1:2379")
	ready := func(ctx context.Context) error {
		return expectOK(ctx, http1, http.MethodGet, "http://etcd/health")
	}
	return newDaemon(h, "etcd", ready, argv...)
}

// EtcdAddr is where the lab's etcd listens, if it has one, as seen from its hosts.
func (l *Lab) EtcdAddr() string { return netip.AddrPortFrom(hostAddr(etcdNumber), 2379).String() }
