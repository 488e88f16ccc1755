// Package ipam gives subnets and addresses to Docker networks, on one host or on many that share a store.
//
// What it promises:
//   - An endpoint's address is held by one host at a time, however many allocate at once, and given twice
//     on that host only if asked for by name: that is a retry, a replay, or a mistake that the claims of the
//     network driver find. Gateways and auxiliary addresses are shared by hosts that ask for them as such.
//   - Subnets of one scope are equal or do not overlap.
//   - Every request may be repeated, by a retry or by the replay after a restart of dockerd, and is answered
//     in the same way. Only a request that leaves the address open takes another one; on a falcon network
//     Collect finds the first.
//   - What a running network needs is not given up because Docker says so by mistake.
//
// All of it comes from compare-and-swap on the store's records:
//
//	scopes/<scope>                        written with every new or removed pool, at the revision seen
//	pools/<scope>/<subnet>                read first; what follows holds at this revision of it
//	addresses/<scope>/<subnet>/<address>  created if absent, changed at the revision seen
//	claims/<network>/<address>            must be absent for an endpoint's address to be given up
//
// What this process remembers of them is a hint, to try the right address first.
package ipam

import (
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"falcon/store"
)

// Config is what Pools need.
type Config struct {
	Store  store.Store
	HostID string             // unique in the cluster, see ValidName; "global" is taken
	Routes Routes             // of this host
	Log    logrus.FieldLogger // for what is ignored or cleaned up
	Now    func() time.Time   // nil: time.Now
}

// Pools are the pools and addresses of a store, as one host uses them. All methods are safe for concurrent
// use; their errors match store.ErrUnavailable when the store does not answer.
type Pools struct {
	store   store.Store
	host    string
	routes  Routes
	log     logrus.FieldLogger
	now     func() time.Time
	started time.Time
	hints   hints
}

// New returns the pools as the configured host uses them.
func New(c Config) (*Pools, error) {
	switch {
	case c.Store == nil || c.Routes == nil || c.Log == nil:
		return nil, errors.New("set up IPAM: Store, Routes and Log are required")
	case !ValidName(c.HostID) || anonymousMark+c.HostID == globalScope:
		return nil, fmt.Errorf("set up IPAM: %w",
			&InputError{"HostID", c.HostID, NameWant + `, and not "global"`, nil})
	case c.Now == nil:
		c.Now = time.Now
	}
	return &Pools{
		store: c.Store, host: c.HostID, routes: c.Routes, log: c.Log, now: c.Now,
		started: c.Now(), hints: hints{pools: map[poolKey]*hint{}},
	}, nil
}
