package load

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are at most 1.6% wide: 64 for each doubling, as HdrHistogram does. Its zero
// value is empty.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	sum    uint64 // ns
	least  uint64
	most   uint64
}

const (
	subBits = 6
	subs    = 1 << subBits
	buckets = (64 - subBits + 1) * subs
)

// bucket is the place of a value: the number of its doubling, then the bits after its first.
func bucket(v uint64) int {
	if v < subs {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift)&(subs-1)
}

// middle is the middle of a bucket.
func middle(bucket int) uint64 {
	if bucket < subs {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (subs|uint64(bucket&(subs-1)))<<shift + 1<<shift/2
}

// Add counts one duration; a negative one counts as zero.
func (h *Histogram) Add(d time.Duration) { h.add(uint64(max(0, d))) }

func (h *Histogram) add(v uint64) {
	if h.total == 0 || v < h.least {
		h.least = v
	}
	h.most = max(h.most, v)
	h.counts[bucket(v)]++
	h.total++
	h.sum += v
}

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.total == 0 {
		return
	}
	if h.total == 0 || o.least < h.least {
		h.least = o.least
	}
	h.most = max(h.most, o.most)
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.sum += o.sum
}

// Count is how many there are.
func (h *Histogram) Count() uint64 { return h.total }

// Mean is exact. That of none is zero, here and below.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return time.Duration(h.sum / h.total)
}

// Min is exact.
func (h *Histogram) Min() time.Duration { return time.Duration(h.least) }

// Max is exact.
func (h *Histogram) Max() time.Duration { return time.Duration(h.most) }

// Quantile is that of 0 to 1 by the nearest rank, within the width of a bucket.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.total)))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(min(max(middle(i), h.least), h.most))
		}
	}
	return h.Max()
}

// Point of a cumulative distribution.
type Point struct {
	Value time.Duration
	Share float64 // of all that are no greater
}

// CDF is the cumulative distribution, a point for each bucket in use.
func (h *Histogram) CDF() []Point {
	var points []Point
	seen := uint64(0)
	for i, n := range h.counts {
		if n > 0 {
			seen += n
			points = append(points, Point{time.Duration(middle(i)), float64(seen) / float64(h.total)})
		}
	}
	return points
}

// sparse is a histogram as it is written down.
type sparse struct {
	Total, Sum, Least, Most uint64
	Buckets                 map[int]uint64
}

// MarshalJSON writes the buckets in use.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	s := sparse{h.total, h.sum, h.least, h.most, map[int]uint64{}}
	for i, n := range h.counts {
		if n > 0 {
			s.Buckets[i] = n
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(raw []byte) error {
	var s sparse
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*h = Histogram{total: s.Total, sum: s.Sum, least: s.Least, most: s.Most}
	for i, n := range s.Buckets {
		if i < 0 || i >= buckets {
			return fmt.Errorf("bucket %d of a histogram: must be 0 to %d", i, buckets-1)
		}
		h.counts[i] = n
	}
	return nil
}
