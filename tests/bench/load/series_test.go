package load

import (
	"testing"
	"time"
)

func TestSeriesCutsTime(t *testing.T) {
	s := series{start: 1000, length: 100}
	for _, e := range []struct{ now, latency uint64 }{{1000, 10}, {1099, 30}, {1350, 7}} {
		s.at(e.now).Packets++
		s.note(e.latency)
	}
	want := []Interval{{Packets: 2, Latency: 20, Worst: 30}, {}, {}, {Packets: 1, Latency: 7, Worst: 7}}
	if len(s.all) != len(want) {
		t.Fatalf("got %+v, want %+v", s.all, want)
	}
	for i := range want {
		if s.all[i] != want[i] {
			t.Errorf("interval %d: got %+v, want %+v", i, s.all[i], want[i])
		}
	}
	if s.at(1000+100*longestSeries) != nil {
		t.Error("the series has no end")
	}
	if none := (series{}); none.at(uint64(time.Hour)) != nil {
		t.Error("a series that nobody wanted")
	}
}
