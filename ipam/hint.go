package ipam

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"falcon/store"
)

// errUnknown says that a pool's addresses in use are to be listed first.
var errUnknown = errors.New("addresses in use are not known")

// maxConflicts is how many addresses in a row may turn out to be taken by other hosts before the pool's
// addresses are listed again.
const maxConflicts = 2

// hints are what this process remembers of pools. They may be wrong in any way: the store's conditions decide.
type hints struct {
	mu    sync.Mutex // guards pools and all in it; a leaf of the lock order, not held across store I/O
	pools map[poolKey]*hint
}

// hint is what this process remembers of one pool.
type hint struct {
	listed    bool       // used was listed
	used      addressSet // addresses in use
	last      netip.Addr // the address given last
	conflicts int        // addresses in a row that others had taken
	offers    int        // answers with this default subnet, with nothing in between
	requested time.Time  // when Docker requested the pool last
}

// of returns the hint of a pool. The caller holds mu.
func (h *hints) of(k poolKey) *hint {
	if h.pools[k] == nil {
		h.pools[k] = &hint{used: addressSet{}}
	}
	return h.pools[k]
}

// take chooses an address of the block that seems free and takes it out, for others not to try it. It
// returns errUnknown if the pool was not listed, and ErrExhausted if it seems exhausted.
func (h *hints) take(k poolKey, b block) (netip.Addr, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pool := h.of(k)
	if !pool.listed {
		return netip.Addr{}, errUnknown
	}
	a, err := nextFree(b, pool.used, pool.last)
	if err == nil {
		pool.used[a], pool.last = struct{}{}, a
	}
	return a, err
}

// list replaces what is remembered of the addresses in use. The one given last stays unless it is unknown.
func (h *hints) list(k poolKey, used addressSet, last netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pool := h.of(k)
	pool.listed, pool.used, pool.conflicts = true, used, 0
	if !pool.last.IsValid() {
		pool.last = last
	}
}

// outcome notes what came of storing an address that was taken out: if the pool has changed, it is the next to
// try again; if another host has it, the one after it.
func (h *hints) outcome(k poolKey, a netip.Addr, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pool := h.of(k)
	var conflict *store.ConflictError
	switch {
	case err == nil:
		pool.conflicts = 0
	case errors.As(err, &conflict) && conflict.Key == k.pool():
		delete(pool.used, a)
		pool.last = a.Prev()
	case errors.As(err, &conflict) && conflict.Key == k.address(a) && pool.conflicts < maxConflicts:
		pool.conflicts++
	default:
		pool.listed = false
	}
}

// set notes that an address is in use, or no longer.
func (h *hints) set(k poolKey, a netip.Addr, used bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if used {
		h.of(k).used[a] = struct{}{}
	} else {
		delete(h.of(k).used, a)
	}
}

// offered counts an answer to Docker with a default subnet and returns the count.
func (h *hints) offered(k poolKey) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of(k).offers++
	return h.of(k).offers
}

// accepted notes that something came of a pool that was offered.
func (h *hints) accepted(k poolKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of(k).offers = 0
}

// requested notes when Docker requested a pool.
func (h *hints) requested(k poolKey, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of(k).requested = at
}

// lastRequested returns when Docker requested a pool last, or the zero time where that is unknown.
func (h *hints) lastRequested(k poolKey) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of(k).requested
}

// forget drops all that is remembered of a pool.
func (h *hints) forget(k poolKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pools, k)
}
