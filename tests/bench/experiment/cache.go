package experiment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// cache measures a memcached in the receiver's place, asked in a closed loop by one client and by ten in the sender's.
// It has one thread where the paper's has four, since it is bound to one core. On two cores the clients share theirs with
// the NIC, as in web.
func cache(ctx context.Context, e *Env) error { return e.Rounds(ctx, cacheTurn) }

const cachePort = firstPort

func cacheTurn(ctx context.Context, c *Cell) (failure error) {
	p, err := c.path(ctx, 0, cachePort)
	if err != nil {
		return err
	}
	s, err := c.startServer(ctx, p.To, p.From, cachePort, "memcached", "-u", "root", "-t", "1",
		"-l", p.To.Addr.String(), "-p", strconv.Itoa(cachePort), "-U", "0")
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, s.stop()) }()
	for _, clients := range []int{1, 10} {
		if err := c.measureCache(ctx, p.From, s, clients); err != nil {
			return fmt.Errorf("%s: %w", plural(clients, "client"), err)
		}
	}
	return nil
}

// cacheSettle is how long clients ask before their requests are counted.
const cacheSettle = 100 * time.Millisecond

func (c *Cell) measureCache(ctx context.Context, from subject.Place, s *server, clients int) (failure error) {
	client, err := load.StartCacheClient(load.CacheConfig{
		Namespace: from.Device.Namespace, CPU: c.Bed.Cores.Client, Server: s.addr, Clients: clients,
	})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, client.Close()) }()
	if _, err := client.Measure(ctx, cacheSettle); err != nil || c.Warmup() {
		return err
	}
	counts, err := client.Measure(ctx, Pick(c.Env, 2500*time.Millisecond, time.Second))
	if err != nil {
		return err
	}
	c.addCache(plural(clients, "client"), counts)
	return nil
}

func (c *Cell) addCache(parameter string, counts load.CacheCounts) {
	c.Add(Metric{Parameter: parameter, Name: "operations", Unit: "1/s", HigherIsBetter: true}, counts.Rate())
	c.Add(Metric{Parameter: parameter, Name: "latency, average", Unit: "us"}, micros(counts.Latency.Mean()))
	c.addLatency(parameter, "latency", counts.Latency)
}
