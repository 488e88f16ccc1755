package recovery

import (
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"falcon/store"
	"falcon/tests/lab"
)

const (
	parallelContainers = 20 // per host
	parallelNetworks   = 10 // per host
	atOnce             = 5  // of them, per host
)

// Hosts that allocate at the same time meet in the store, and nowhere else.
func TestAllocateAtOnce(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	o.createNetwork(1)
	o.inParallel(parallelContainers, func(h *lab.Host, i int) error {
		_, err := h.RunContainer(o.ctx, fmt.Sprintf("box%d", i), "--network", networkName(1))
		return err
	})
	o.wantsDistinctAddresses(len(o.Hosts) * parallelContainers)
	o.settles(collected / 10)
	for _, h := range o.Hosts {
		o.clearEngine(h)
	}
	o.nothingLeft(collected / 10)

	// These want one and the same VNI in pairs, one of each pair on each host.
	names := collidingNames(parallelNetworks)
	o.inParallel(parallelNetworks, func(h *lab.Host, i int) error {
		name := names[i][slices.Index(o.Hosts, h)]
		_, err := h.Docker(o.ctx, "network", "create", "--driver", "falcon", "--opt", "falcon.network="+name,
			"--ipam-driver", "falcon", "--subnet", subnet(50+i), name)
		return err
	})
	in, err := o.intent()
	o.check(err)
	owners := map[uint32]string{}
	for name, n := range in.networks {
		if other, ok := owners[n.VNI]; ok {
			t.Errorf("networks %s and %s have VNI %d", name, other, n.VNI)
		}
		owners[n.VNI] = name
	}
	if want := len(o.Hosts) * parallelNetworks; len(in.networks) != want {
		t.Errorf("there are %d networks, want %d", len(in.networks), want)
	}
	o.settles(collected / 10)
}

// inParallel does things on all hosts at the same time.
func (o overlay) inParallel(count int, do func(h *lab.Host, i int) error) {
	o.t.Helper()
	var all errgroup.Group
	for _, h := range o.Hosts {
		all.Go(func() error {
			var g errgroup.Group
			g.SetLimit(atOnce)
			for i := range count {
				g.Go(func() error { return do(h, i) })
			}
			return g.Wait()
		})
	}
	o.check(all.Wait())
}

// wantsDistinctAddresses compares what engines say of containers with what falcon granted.
func (o overlay) wantsDistinctAddresses(count int) {
	o.t.Helper()
	var engines []string
	for _, h := range o.Hosts {
		for i := range parallelContainers {
			engines = append(engines, "net1 "+o.addressOf(h.Container(fmt.Sprintf("box%d", i))))
		}
	}
	slices.Sort(engines)
	if distinct := slices.Compact(slices.Clone(engines)); len(distinct) != count {
		o.t.Errorf("%d containers have %d addresses: %v", count, len(distinct), engines)
	}
	in, err := o.intent()
	o.check(err)
	if err := sameLines(in.addresses(), engines); err != nil {
		o.t.Errorf("endpoints in the store and containers of the engines: %v", err)
	}
	records, err := o.StoreRecords(o.ctx, store.AddressesPrefix)
	o.check(err)
	families, gateways := 2, 2
	if want := families*count + gateways; len(records) != want {
		o.t.Errorf("%d addresses are held, want %d", len(records), want)
	}
}

// collidingNames returns pairs of network names for which falcon tries the same VNI first: it goes by the hash of
// the name (driver/vni.go).
func collidingNames(pairs int) [][2]string {
	const first, beyond = 4096, 1 << 24
	byVNI := map[uint32]string{}
	var found [][2]string
	for i := 0; len(found) < pairs; i++ {
		name := fmt.Sprintf("collide%d", i)
		h := fnv.New32a()
		fmt.Fprint(h, name)
		vni := h.Sum32() % (beyond - first)
		if other, ok := byVNI[vni]; ok {
			found = append(found, [2]string{other, name})
			continue
		}
		byVNI[vni] = name
	}
	return found
}
