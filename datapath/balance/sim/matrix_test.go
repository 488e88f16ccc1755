package sim

import (
	"runtime"
	"slices"
	"sync"
	"testing"
)

var policies = []Policy{Off, Static, Paper, Dynamic}

// scenarios is the matrix; with the race detector, with which a simulation takes ten times as long, without the scenarios of
// many flows.
func scenarios() []Scenario {
	list := Matrix()
	if !raceEnabled && !testing.Short() {
		return list
	}
	return slices.DeleteFunc(list, func(s Scenario) bool { return len(s.Flows) > 50 })
}

// results runs the scenarios once for all tests that look at them.
var results = sync.OnceValue(func() map[string]map[Policy]Result { return runAll(scenarios()) })

func runAll(scenarios []Scenario) map[string]map[Policy]Result {
	all := map[string]map[Policy]Result{}
	var mu sync.Mutex // guards all
	var workers sync.WaitGroup
	next := make(chan Scenario)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for s := range next {
				by := map[Policy]Result{}
				for _, p := range policies {
					by[p] = Run(s, p)
				}
				mu.Lock()
				all[s.Name] = by
				mu.Unlock()
			}
		})
	}
	for _, s := range scenarios {
		next <- s
	}
	close(next)
	workers.Wait()
	return all
}

// forEach runs a test on each scenario's results.
func forEach(t *testing.T, test func(*testing.T, Scenario, map[Policy]Result)) {
	for _, s := range scenarios() {
		t.Run(s.Name, func(t *testing.T) { test(t, s, results()[s.Name]) })
	}
}

func TestScenariosHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Matrix() {
		if seen[s.Name] {
			t.Errorf("%q occurs twice", s.Name)
		}
		seen[s.Name] = true
	}
}
