package report

import (
	"cmp"
	"strings"
)

// Subjects with a part of their own: everything is compared with these.
const (
	Host       = "host"
	Bare       = "host-without-rules"
	Overlay    = "docker-overlay"
	OverlayRPS = "docker-overlay-rps"
)

// Key names a measurement. The first four fields identify it.
type Key struct {
	Experiment     string `json:"experiment"`
	Subject        string `json:"subject"`
	Parameter      string `json:"parameter"`
	Metric         string `json:"metric"`
	Unit           string `json:"unit"`
	HigherIsBetter bool   `json:"higher_is_better"`
}

// id is a key's identity.
type id struct{ experiment, subject, parameter, metric string }

func (k Key) id() id { return id{k.Experiment, k.Subject, k.Parameter, k.Metric} }

// Orders in which a reader expects things; whatever is not listed follows, in natural order.
var (
	experimentOrder = []string{
		"udp-single", "tcp-single", "latency", "multi-flow", "web", "cache", "hotspot", "overload", "cost", "stages", "control",
		"instrument", "aa",
	}
	subjectOrder = []string{
		Host, Bare, Overlay, OverlayRPS, "falcon", "falcon-static", "falcon-dynamic", "falcon-shortcut", "falcon-shortcut-xdp",
		"falcon-shortcut-dynamic",
		"falcon-split-dynamic", "falcon-all",
	}
)

func compareKeys(a, b Key) int {
	return cmp.Or(
		compareListed(experimentOrder, a.Experiment, b.Experiment),
		natural(a.Metric, b.Metric),
		natural(a.Parameter, b.Parameter),
		compareListed(subjectOrder, a.Subject, b.Subject),
	)
}

// compareListed puts what is listed first, in the list's order.
func compareListed(list []string, a, b string) int {
	return cmp.Or(cmp.Compare(rank(list, a), rank(list, b)), natural(a, b))
}

func rank(list []string, s string) int {
	for i, have := range list {
		if have == s {
			return i
		}
	}
	return len(list)
}

// isFalcon tells whether a subject is a mode of falcon.
func isFalcon(subject string) bool { return strings.HasPrefix(subject, "falcon") }
