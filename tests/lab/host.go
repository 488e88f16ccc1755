package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Host is a machine of the lab: namespaces of its own, connected to the lab's switch by eth0. It may be used
// by several goroutines, except during Reboot.
type Host struct {
	Name  string
	Addr  netip.Addr // IPv4 of eth0
	Addr6 netip.Addr // IPv6 of eth0

	Engine *Daemon // dockerd; nil where Options.Docker is
	Plugin *Daemon // falcon serve; nil where Options.Falcon is

	lab *Lab
	dir string // all that the host keeps on disk

	mu      sync.Mutex // guards holder where Dial and its end may meet
	*holder            // nil while the host is down
}

// newHost makes the host's directory and boots it.
func newHost(ctx context.Context, l *Lab, name string, number int) (*Host, error) {
	h := &Host{
		Name:  name,
		Addr:  hostAddr(number),
		Addr6: hostAddr6(number),
		lab:   l,
		dir:   filepath.Join(l.dir, name),
	}
	for dir, mode := range holderDirs {
		if err := makeDir(filepath.Join(h.dir, dir), mode); err != nil {
			return nil, fmt.Errorf("make host %s: %w", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(h.dir, "hosts"), l.hostsFile(), 0o644); err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	if err := h.boot(ctx); err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	return h, nil
}

// boot starts the host without network and daemons.
func (h *Host) boot(ctx context.Context) error {
	holder, err := newHolder(ctx, h.dir, h.Name)
	if err != nil {
		return err
	}
	// For those who enter from outside, by nsenter.
	pid := strconv.Itoa(holder.cmd.Process.Pid)
	if err := os.WriteFile(h.pidFile(), []byte(pid), 0o644); err != nil {
		return errors.Join(err, holder.Close())
	}
	h.setHolder(holder)
	return nil
}

// setHolder returns the previous one.
func (h *Host) setHolder(to *holder) *holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := h.holder
	h.holder = to
	return from
}

func (h *Host) pidFile() string { return filepath.Join(h.dir, "pid") }

// Reboot is a power failure: every process, device, mount and pin of the host is gone at once, only what was
// on disk stays. Then the host comes up with the daemons that it had running.
func (h *Host) Reboot(ctx context.Context) error {
	var restart []*Daemon
	for _, d := range h.daemons() {
		if d.Running() {
			restart = append(restart, d)
		}
	}
	if err := h.reboot(ctx); err != nil {
		return fmt.Errorf("reboot %s: %w", h.Name, err)
	}
	for _, d := range restart {
		if err := d.Start(ctx); err != nil {
			return fmt.Errorf("reboot %s: %w", h.Name, err)
		}
	}
	return nil
}

func (h *Host) reboot(ctx context.Context) error {
	if err := h.Close(); err != nil {
		return err
	}
	for _, d := range h.daemons() {
		<-d.Done()
	}
	for _, dir := range []string{"run", "tmp"} {
		if err := emptyDir(filepath.Join(h.dir, dir)); err != nil {
			return err
		}
	}
	if err := removeCgroups(h.cgroup()); err != nil {
		return err
	}
	if err := h.lab.disconnect(ctx, h); err != nil {
		return err
	}
	if err := h.boot(ctx); err != nil {
		return err
	}
	return h.lab.connect(ctx, h)
}

// daemons are the host's, in the order in which they start.
func (h *Host) daemons() []*Daemon {
	var ds []*Daemon
	for _, d := range []*Daemon{h.Plugin, h.Engine} {
		if d != nil {
			ds = append(ds, d)
		}
	}
	return ds
}

// Close ends all of the host. Its directory stays.
func (h *Host) Close() error {
	holder := h.setHolder(nil)
	if holder == nil {
		return nil
	}
	return holder.Close()
}

// cgroup is the parent of the host's containers' cgroups.
func (h *Host) cgroup() string { return filepath.Join("/", h.lab.Name, h.Name) }

// Dial connects from inside the host, to an address or to a socket in its file system. The address has to be
// literal.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	// An HTTP client connects in the background and may still do so when its request has been given up, and the host ended.
	h.mu.Lock()
	holder := h.holder
	h.mu.Unlock()
	if holder == nil {
		return nil, fmt.Errorf("dial from %s: it is down", h.Name)
	}
	var conn net.Conn
	err := holder.ns.do(all, func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial from %s: %w", h.Name, err)
	}
	return conn, nil
}

// HTTPClient returns a client whose connections, whatever the URL's host, go to one address as of Dial: a
// socket's path with network "unix", for instance. Connections are not kept, for they would outlive a
// restart of the server.
func (h *Host) HTTPClient(network, address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.Dial(ctx, network, address)
		},
	}}
}

// makeDir makes a directory with exactly this mode.
func makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, mode) // mkdir's mode is subject to the umask
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
