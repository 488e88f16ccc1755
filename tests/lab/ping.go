package lab

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	// pingInterval is two ticks of a kernel with 250 of them a second, and one with 100: ping rounds up.
	pingInterval = "0.008"
	// pingSettle is how long an answer may take before its packet counts as lost.
	pingSettle = time.Second
)

// Pinger pings from inside a container, some 100 times a second. It does not need the engine while it runs, and
// so can watch over a restart of it.
type Pinger struct {
	From, To string // container and address
	*Process
}

// Ping starts a Pinger, which lasts for no longer than limit.
func (c Container) Ping(ctx context.Context, limit time.Duration, address string) (*Pinger, error) {
	pid, err := c.Inspect(ctx, "{{.State.Pid}}")
	if err != nil {
		return nil, err
	}
	p, err := c.host.Start(ctx, limit, "nsenter", "--net=/proc/"+pid+"/ns/net", "ping", "-n", "-D", "-i", pingInterval, address)
	if err != nil {
		return nil, err
	}
	return &Pinger{From: c.Name, To: address, Process: p}, nil
}

// PingResult is what became of a Pinger's packets.
type PingResult struct {
	Sent    int
	Lost    []int         // sequence numbers, from 1
	Silence time.Duration // the longest time between two answers
	Last    time.Time     // of the newest answer
}

func (r PingResult) String() string {
	return fmt.Sprintf("%d sent, %d lost %v, longest silence %v", r.Sent, len(r.Lost), r.Lost[:min(len(r.Lost), 20)], r.Silence)
}

// Finish ends the pinger and counts. A packet that is still under way is not lost.
func (p *Pinger) Finish() (PingResult, error) {
	out, err := p.Stop()
	if err != nil {
		return PingResult{}, err
	}
	r := countPings(out, time.Now())
	if r.Sent == 0 {
		return r, fmt.Errorf("ping %s from %s: no statistics in its output: %s", p.To, p.From, out)
	}
	return r, nil
}

// AwaitAnswer waits for the answer to a packet that was sent after a moment.
func (p *Pinger) AwaitAnswer(ctx context.Context, after time.Time) error {
	return Poll(ctx, func(context.Context) error {
		select {
		case <-p.Done():
			return fmt.Errorf("ping %s from %s ended: %s", p.To, p.From, p.Output())
		default:
		}
		if last := countPings(p.Output(), time.Now()).Last; !last.After(after) {
			return fmt.Errorf("no answer from %s to %s since %v", p.To, p.From, last)
		}
		return nil
	})
}

var (
	// pingAnswer is a line of `ping -D`: when the answer came, what it answers, and how long it took.
	pingAnswer = regexp.MustCompile(`(?m)^\[(\d+)\.(\d{6})\] \d+ bytes from .* icmp_seq=(\d+) .* time=([\d.]+) ms`)
	pingSent   = regexp.MustCompile(`(?m)^(\d+) packets transmitted`)
)

// countPings reads what ping printed until now.
func countPings(out string, now time.Time) PingResult {
	var r PingResult
	answered := map[int]bool{}
	newest := 0
	var before time.Time
	for _, m := range pingAnswer.FindAllStringSubmatch(out, -1) {
		came := time.Unix(number(m[1]), number(m[2])*1000)
		if !before.IsZero() {
			r.Silence = max(r.Silence, came.Sub(before))
		}
		before = came
		took, _ := strconv.ParseFloat(m[4], 64)
		if sent := came.Add(-time.Duration(took * float64(time.Millisecond))); sent.After(r.Last) {
			r.Last = sent
		}
		seq := int(number(m[3]))
		answered[seq] = true
		newest = max(newest, seq)
	}
	if m := pingSent.FindStringSubmatch(out); m != nil {
		r.Sent = int(number(m[1]))
	}
	end := newest
	if silent := now.Sub(before); silent > pingSettle {
		end = r.Sent
		r.Silence = max(r.Silence, silent)
	}
	for seq := 1; seq <= end; seq++ {
		if !answered[seq] {
			r.Lost = append(r.Lost, seq)
		}
	}
	return r
}

// number is of digits that a pattern has matched.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
