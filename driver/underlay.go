package driver

import (
	"context"
	"sync"

	"falcon/datapath"
)

// underlay is the host's side of the network between hosts, as last seen.
type underlay struct {
	dp    surroundings
	which string // interface or address as the operator named it; empty: by the default route
	port  uint16

	mu   sync.Mutex // guards last; a leaf
	last datapath.Underlay
}

// current returns the underlay as last seen.
func (u *underlay) current() datapath.Underlay {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// refresh looks at the underlay again and tells whether its address changed. On an error what was last
// seen stays: a link that flaps must not tear networks down.
func (u *underlay) refresh(ctx context.Context) (bool, error) {
	now, err := u.dp.Underlay(ctx, u.which)
	if err != nil {
		return false, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	moved := now.Address != u.last.Address
	u.last = now
	return moved, nil
}
