package experiment

import (
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 1s test @ http://10.0.0.2:20000/1
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   194.78us  263.52us   4.26ms   95.59%
    Req/Sec    62.43k     8.89k   74.32k    60.00%
  Latency Distribution
     50%  134.00us
     75%  155.00us
     90%  273.00us
     99%    1.30ms
  61811 requests in 1.00s, 74.51MB read
Requests/sec:  61783.51
Transfer/sec:     74.48MB
`

func TestParseWrk(t *testing.T) {
	read := wrkResult{Rate: 61783.51, Mean: 194780 * time.Nanosecond, P50: 134 * time.Microsecond, P99: 1300 * time.Microsecond}
	slow := read
	slow.P99 = 1020 * time.Millisecond
	const last = "Requests/sec:  61783.51\n"
	for name, c := range map[string]struct {
		old, new string
		want     wrkResult
		fails    string
	}{
		"milliseconds":  {want: read},
		"seconds":       {old: "1.30ms", new: "1.02s", want: slow},
		"bad answers":   {old: last, new: "  Non-2xx or 3xx responses: 111850\n" + last, fails: "responses: 111850"},
		"socket errors": {old: last, new: "  Socket errors: connect 0, read 3, write 0, timeout 0\n" + last, fails: "read 3"},
		"no rate":       {old: last, new: "", fails: "missing or zero"},
		"nothing done":  {old: "134.00us", new: "0.00us", fails: "missing or zero"},
		"odd duration":  {old: "134.00us", new: "-nan", fails: `duration "-nan"`},
		"empty":         {old: wrkOutput, new: "", fails: "missing or zero"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseWrk(strings.Replace(wrkOutput, c.old, c.new, 1))
			if c.fails == "" && (err != nil || got != c.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("got %v, want an error with %q", err, c.fails)
			}
		})
	}
}
