package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseIperf3(t *testing.T) {
	for out, want := range map[string]float64{
		`{"end": {"sum_sent": {"bits_per_second": 9}, "sum_received": {"bits_per_second": 7e9}}}`: 7e9,
		`{"error": "unable to connect"}`: 0,
		`{"end": {}}`:                    0,
		`iperf3: no`:                     0,
	} {
		if got, err := parseIperf3(out); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: got %v, %v", out, got, err)
		}
	}
}

// device is one on which ethtool is run.
type device struct {
	features map[string]string
	calls    []string
}

func (d *device) exec(_ context.Context, argv ...string) (string, error) {
	if argv[1] == "-k" {
		var b strings.Builder
		for feature, state := range d.features {
			fmt.Fprintf(&b, "%s: %s\n", feature, state)
		}
		return b.String(), nil
	}
	d.calls = append(d.calls, strings.Join(argv[3:], " "))
	return "", nil
}

func TestOffloadIsRestored(t *testing.T) {
	tso, gso := segmentation[0].feature, segmentation[1].feature
	for name, c := range map[string]struct {
		features map[string]string
		want     []string
	}{
		"both on":  {map[string]string{tso: "on", gso: "on"}, []string{"off", "on"}},
		"both off": {map[string]string{tso: "off", gso: "off"}, nil},
		"fixed":    {map[string]string{tso: "on [fixed]", gso: "off [fixed]"}, nil},
	} {
		d, failure := &device{features: c.features}, errors.New("did not work")
		// Also if what is done without it fails, and if the context ends.
		ctx, cancel := context.WithCancel(t.Context())
		err := withoutOffload(ctx, []nic{{"eth0", d.exec}}, func() error { cancel(); return failure })
		if !errors.Is(err, failure) {
			t.Errorf("%s: got %v", name, err)
		}
		var states []string
		for _, call := range d.calls {
			states = append(states, call[strings.LastIndex(call, " ")+1:])
		}
		if !slices.Equal(states, c.want) {
			t.Errorf("%s: %q", name, d.calls)
		}
	}
}
