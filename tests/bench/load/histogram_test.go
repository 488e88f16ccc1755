package load

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsAreNarrow(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1000, 123456789, 1 << 40, math.MaxUint64} {
		b := bucket(v)
		if b < 0 || b >= buckets {
			t.Fatalf("%d is in bucket %d of %d", v, b, buckets)
		}
		if m := middle(b); bucket(m) != b || math.Abs(float64(m)-float64(v)) > float64(v)/subs {
			t.Errorf("%d is in bucket %d, whose middle is %d", v, b, m)
		}
	}
	for b := 1; b < buckets; b++ {
		if middle(b) <= middle(b-1) {
			t.Fatalf("bucket %d: middle %d after %d", b, middle(b), middle(b-1))
		}
	}
}

func TestQuantilesAreThoseOfTheSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "samples")
		cut := rapid.IntRange(0, len(samples)).Draw(t, "cut")
		var h, rest Histogram
		total := int64(0)
		for i, s := range samples {
			if total += s; i < cut {
				h.Add(time.Duration(s))
			} else {
				rest.Add(time.Duration(s))
			}
		}
		h.Merge(&rest)
		raw, err := json.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		h = Histogram{}
		if err := json.Unmarshal(raw, &h); err != nil {
			t.Fatal(err)
		}
		slices.Sort(samples)
		for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.999, 1} {
			want := float64(samples[max(0, int(math.Ceil(q*float64(len(samples))))-1)])
			if got := float64(h.Quantile(q)); math.Abs(got-want) > want/subs {
				t.Fatalf("quantile %v: got %v, want %v", q, got, want)
			}
		}
		if h.Count() != uint64(len(samples)) || int64(h.Min()) != samples[0] || int64(h.Max()) != samples[len(samples)-1] || int64(h.Mean()) != total/int64(len(samples)) {
			t.Fatalf("count %d, from %v to %v, mean %v of %v", h.Count(), h.Min(), h.Max(), h.Mean(), samples)
		}
		points := h.CDF()
		if last := points[len(points)-1]; last.Share != 1 {
			t.Fatalf("CDF ends at %v", last)
		}
	})
}

func TestNegativeDurationsCountAsZero(t *testing.T) {
	var h Histogram
	h.Add(-time.Second)
	if h.Count() != 1 || h.Max() != 0 || h.Quantile(0.5) != 0 {
		t.Errorf("%d, %v, %v", h.Count(), h.Max(), h.Quantile(0.5))
	}
}

func TestHistogramOfNothing(t *testing.T) {
	var h, o Histogram
	h.Merge(&o)
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 || len(h.CDF()) != 0 {
		t.Error("nothing is something")
	}
	if err := h.UnmarshalJSON([]byte(`{"Buckets":{"999999":1}}`)); err == nil {
		t.Error("a bucket out of range passed")
	}
}
