package experiment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// wrkResult is what wrk found.
type wrkResult struct {
	Rate           float64 // operations per second
	Mean, P50, P99 time.Duration
}

// parseWrk reads the output of `wrk --latency`. Requests that failed are an error: rate and times would be of something
// else than asked for.
func parseWrk(out string) (wrkResult, error) {
	r, err := wrkFigures(out)
	if err != nil {
		return wrkResult{}, fmt.Errorf("parse output of wrk: %w:\n%s", err, out)
	}
	return r, nil
}

func wrkFigures(out string) (r wrkResult, err error) {
	durations := map[string]*time.Duration{"Latency": &r.Mean, "50%": &r.P50, "99%": &r.P99}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "Socket", "Non-2xx":
			return r, errors.New(strings.TrimSpace(line))
		case "Requests/sec:":
			if r.Rate, err = strconv.ParseFloat(fields[1], 64); err != nil {
				return r, err
			}
		case "Latency", "50%", "99%":
			if fields[1] == "Distribution" {
				continue
			}
			if *durations[fields[0]], err = wrkDuration(fields[1]); err != nil {
				return r, err
			}
		}
	}
	if r.Rate <= 0 || r.Mean <= 0 || r.P50 <= 0 || r.P99 <= 0 {
		return r, errors.New("a figure is missing or zero")
	}
	return r, nil
}

// wrkDuration reads a number with one of wrk's units (wrk, src/units.c), which are Go's.
func wrkDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("duration %q: %w", text, err)
	}
	return d, nil
}
