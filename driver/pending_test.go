package driver

import (
	"slices"
	"sync"
	"testing"
)

func TestPending(t *testing.T) {
	var p pending[string]
	if got := p.take(); len(got) != 0 {
		t.Errorf("at first: %q", got)
	}
	p.add()
	p.add("a", "b", "a")
	p.add("b")
	got := p.take()
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	p.add("c")
	if got := p.take(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("after that: %q", got)
	}
}

// Nothing that is added while others take is lost, or taken twice.
func TestPendingOfMany(t *testing.T) {
	const adders, each = 4, 1000
	var p pending[int]
	var adding sync.WaitGroup
	for i := range adders {
		adding.Go(func() {
			for k := range each {
				p.add(i*each + k)
			}
		})
	}
	var mu sync.Mutex
	times := map[int]int{}
	var taking sync.WaitGroup
	for range 2 {
		taking.Go(func() {
			for total := 0; total < adders*each; {
				keys := p.take()
				mu.Lock()
				for _, k := range keys {
					times[k]++
				}
				total = len(times)
				mu.Unlock()
			}
		})
	}
	adding.Wait()
	taking.Wait()
	for k, n := range times {
		if n != 1 {
			t.Errorf("%d was taken %d times", k, n)
		}
	}
}
