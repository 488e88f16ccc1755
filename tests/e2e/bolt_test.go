package e2e

import "testing"

// On a single host falcon needs nothing besides itself: no etcd, and no IPAM driver but Docker's.
func TestSingleHost(t *testing.T) {
	f := single.open(t)
	f.network(f.h1, "alone", "-d", "falcon")
	f.network(f.h1, "pair", "-d", "falcon", "--ipv6", "--subnet", "10.70.0.0/24", "--subnet", "fd70::/64")
	one, two := f.box(f.h1, "pair", "one"), f.box(f.h1, "pair", "two")
	two.serve(t)
	one.pings(t, two.v4)
	one.pings(t, two.v6)
	one.reaches(t, two.v4, two.Name)
	one.reaches(t, two.v6, two.Name)
	f.docker(f.h1, "exec", "one", "ping", "-c1", "-W3", "two") // by name

	three, four := f.box(f.h1, "alone", "three"), f.box(f.h1, "alone", "four")
	four.serve(t)
	three.reaches(t, four.v4, four.Name)
	records, err := boltRecords(t.Context(), f.h1)
	if err != nil || len(records) < 4 {
		t.Errorf("the store holds %d records of 4 endpoints, %v: the test does not see them", len(records), err)
	}

	f.docker(f.h1, "rm", "--force", "one", "two", "three", "four")
	for _, network := range []string{"alone", "pair"} {
		f.docker(f.h1, "network", "rm", network)
	}
	f.leavesNothing()
}
