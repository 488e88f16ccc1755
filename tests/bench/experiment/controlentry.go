package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// entry is a forwarding entry that came, and when.
type entry struct {
	mac string
	at  time.Time
}

// watcher hears of all entries that a network namespace's VXLAN devices get, as the kernel announces them.
type watcher struct {
	ns    netns.NsHandle
	seen  chan entry
	ended chan struct{}
}

// watch begins to listen in a network namespace, given by its file.
func watch(namespace string) (*watcher, error) {
	ns, err := netns.GetFromPath(namespace)
	if err != nil {
		return nil, fmt.Errorf("watch entries in %s: %w", namespace, err)
	}
	w := &watcher{ns: ns, seen: make(chan entry, 4096), ended: make(chan struct{})}
	updates := make(chan netlink.NeighUpdate, 4096)
	if err := netlink.NeighSubscribeAt(ns, updates, w.ended); err != nil {
		return nil, errors.Join(fmt.Errorf("watch entries in %s: %w", namespace, err), ns.Close())
	}
	go w.listen(updates)
	return w, nil
}

func (w *watcher) listen(updates <-chan netlink.NeighUpdate) {
	for u := range updates {
		if u.Type == unix.RTM_NEWNEIGH && u.Family == unix.AF_BRIDGE && u.Flags&unix.NTF_SELF != 0 {
			select {
			case w.seen <- entry{u.HardwareAddr.String(), time.Now()}:
			case <-w.ended:
			}
		}
	}
}

func (w *watcher) close() error {
	close(w.ended)
	return w.ns.Close()
}

// arrivalLimit is what an entry may take; gossip takes a second where it has to try again.
const arrivalLimit = 30 * time.Second

// await returns when the entry of an address came that was announced after a moment.
func (w *watcher) await(ctx context.Context, mac string, after time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, arrivalLimit)
	defer cancel()
	for {
		select {
		case e := <-w.seen:
			if e.mac == mac && e.at.After(after) {
				return e.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for the entry of %s: %w", mac, ctx.Err())
		}
	}
}
