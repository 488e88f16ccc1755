package load

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// receiver is a simulated one, which takes so many packets per second and no more.
type receiver struct {
	capacity float64
	collapse float64 // packets that each packet too many costs beside itself
}

func (r receiver) trial(_ context.Context, rate float64) (Outcome, error) {
	if rate == 0 {
		rate = 10 * r.capacity
	}
	received := rate
	if rate > r.capacity {
		received = max(0, r.capacity-(rate-r.capacity)*r.collapse)
	}
	return Outcome{Sent: uint64(rate), Received: uint64(received), Elapsed: time.Second}, nil
}

func TestLossFreeFindsTheCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := receiver{capacity: rapid.Float64Range(2000, 900000).Draw(t, "capacity")}
		got, err := LossFree(context.Background(), r.trial, Search{Least: 1000, Most: 1e6})
		if err != nil {
			t.Fatal(err)
		}
		if got.Rate > r.capacity+1 || got.Rate < r.capacity*0.99-1 {
			t.Fatalf("found %v of %v", got.Rate, r.capacity)
		}
		if got.Outcome.Loss() != 0 || len(got.Attempts) > 20 {
			t.Fatalf("%+v after %d trials", got.Outcome, len(got.Attempts))
		}
	})
}

func TestLossFreeAtItsBounds(t *testing.T) {
	r := receiver{capacity: 50000}
	for name, c := range map[string]struct {
		search Search
		want   float64
		trials int
	}{
		"all pass":            {Search{Least: 1000, Most: 20000}, 20000, 1},
		"none passes":         {Search{Least: 60000, Most: 90000}, 0, 2},
		"one rate":            {Search{Least: 50000, Most: 50000}, 50000, 1},
		"coarse":              {Search{Least: 10000, Most: 90000, Resolution: 0.5}, 50000, 3},
		"some may be lost":    {Search{Least: 1000, Most: 100000, Tolerance: 0.5}, 100000, 1},
		"each failure thrice": {Search{Least: 60000, Most: 90000, Repeats: 2}, 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LossFree(t.Context(), r.trial, c.search)
			if err != nil || got.Rate != c.want || len(got.Attempts) != c.trials {
				t.Errorf("got %v after %d trials (%v), want %v after %d", got.Rate, len(got.Attempts), err, c.want, c.trials)
			}
		})
	}
}

// A machine that does other things too loses packets now and then at any rate.
func TestLossFreeRepeatsWhatFailedByChance(t *testing.T) {
	r, random := receiver{capacity: 300000}, rand.New(rand.NewPCG(1, 2))
	unlucky := func(ctx context.Context, rate float64) (Outcome, error) {
		o, err := r.trial(ctx, rate)
		if random.Float64() < 0.3 {
			o.Received -= 10
		}
		return o, err
	}
	got, err := LossFree(t.Context(), unlucky, Search{Least: 1000, Most: 1e6, Repeats: 6})
	if err != nil || math.Abs(got.Rate-r.capacity) > 0.01*r.capacity {
		t.Errorf("found %v of %v (%v)", got.Rate, r.capacity, err)
	}
}

func TestSearchRefusesAndReports(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context, float64) (Outcome, error) { return Outcome{}, broken }
	good := Search{Least: 1, Most: 2}
	if _, err := LossFree(t.Context(), fail, good); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := Overload(t.Context(), fail, []float64{1}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := LossFree(ended, receiver{capacity: 5}.trial, good); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []Search{{}, {Least: 2, Most: 1}, {Least: 1, Most: math.NaN()}, {Least: 1, Most: 2, Resolution: 1}, {Least: 1, Most: 2, Tolerance: -1}, {Least: 1, Most: 2, Repeats: -1}} {
		if _, err := LossFree(t.Context(), fail, bad); !errors.Is(err, errSearch) {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}

func TestOverloadFindsThePeak(t *testing.T) {
	r := receiver{capacity: 1000, collapse: 2}
	got, err := Overload(t.Context(), r.trial, append(Fractions(r.capacity, 0.5, 1.5, 5), 0))
	if err != nil {
		t.Fatal(err)
	}
	if got.Best.Rate != 1000 || len(got.Attempts) != 6 {
		t.Errorf("got %+v", got)
	}
	want := []float64{500, 750, 1000, 500, 0, 0}
	for i, a := range got.Attempts {
		if a.Outcome.Rate() != want[i] {
			t.Errorf("attempt %d: got %v, want %v", i, a.Outcome.Rate(), want[i])
		}
	}
	if f := Fractions(100, 1, 2, 1); !slices.Equal(f, []float64{100}) {
		t.Errorf("got %v", f)
	}
}
