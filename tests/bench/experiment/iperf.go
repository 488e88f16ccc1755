package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"falcon/tests/bench/subject"
	"falcon/tests/lab"
)

// iperf3Grace is how long iperf3 may take beyond the time that it is told to send.
const iperf3Grace = 20 * time.Second

// iperf3 sends one TCP stream along a path by writes of so many bytes, and returns the bits per second that arrived. The
// server reads by as many bytes, as iperf3's client tells it.
func (c *Cell) iperf3(ctx context.Context, p subject.Path, length, seconds int) (rate float64, failure error) {
	limit := time.Duration(seconds)*time.Second + iperf3Grace
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	server, err := c.startIperf3(ctx, p, limit)
	if err != nil {
		return 0, err
	}
	defer func() {
		if failure != nil {
			_, err := server.Stop()
			failure = errors.Join(failure, err)
		}
	}()
	out, err := p.From.Exec(ctx, c.Bed.Cores.Client,
		"iperf3", "--client", p.To.Addr.String(), "--port", strconv.Itoa(int(p.ToPort)), "--length", strconv.Itoa(length),
		"--time", strconv.Itoa(seconds), "--json")
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	if _, err := server.Wait(); err != nil {
		return 0, err
	}
	return parseIperf3(out)
}

// startIperf3 starts a server of iperf3 where a path ends, for one client, and waits until it listens.
func (c *Cell) startIperf3(ctx context.Context, p subject.Path, limit time.Duration) (*lab.Process, error) {
	server, err := p.To.Start(ctx, limit, c.Bed.Cores.App,
		"iperf3", "--server", "--one-off", "--forceflush", "--bind", p.To.Addr.String(), "--port", strconv.Itoa(int(p.ToPort)))
	if err != nil {
		return nil, err
	}
	if err := lab.Poll(ctx, func(context.Context) error { return listening(server) }); err != nil {
		_, stopped := server.Stop()
		return nil, errors.Join(err, stopped)
	}
	return server, nil
}

// listening tells whether a server of iperf3 takes connections.
func listening(server *lab.Process) error {
	select {
	case <-server.Done():
		_, err := server.Wait()
		return fmt.Errorf("iperf3's server ended: %w", err)
	default:
	}
	if !strings.Contains(server.Output(), "Server listening") {
		return errors.New("iperf3's server does not listen yet")
	}
	return nil
}

// parseIperf3 takes the rate out of iperf3's report, which has the server's part too.
func parseIperf3(out string) (float64, error) {
	var report struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return 0, fmt.Errorf("parse iperf3's report: %w", err)
	}
	if report.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", report.Error)
	}
	if report.End.Received.Rate <= 0 {
		return 0, fmt.Errorf("iperf3: %w", errNothing)
	}
	return report.End.Received.Rate, nil
}
