package driver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts Docker's requests, and how long they took.
type Requests struct{ *prometheus.HistogramVec }

// Outcomes of a request.
const (
	outcomeDone   = "done"
	outcomeFailed = "failed"
)

// requestBuckets are seconds: from a request that is answered from memory to one that meets the deadline.
var requestBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15}

func newRequests() *Requests {
	return &Requests{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "falcon_request_duration_seconds", Help: "How long Docker's requests took, by method and whether they failed.",
		Buckets: requestBuckets,
	}, []string{"method", "outcome"})}
}

func (r *Requests) note(method string, took time.Duration, err error) {
	outcome := outcomeDone
	if err != nil {
		outcome = outcomeFailed
	}
	r.WithLabelValues(method, outcome).Observe(took.Seconds())
}
