package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// CacheConfig describes a CacheClient.
type CacheConfig struct {
	Namespace string // file of the network namespace; empty: the caller's
	CPU       int
	Server    netip.AddrPort
	Clients   int // connections, each with one request under way at all times; 0 is 1
	Keys      int // 0 is 1,000
	Value     int // bytes; 0 is 550
	Sets      int // of each so many requests of a client the last is a set, the others are gets; 0 is 5
}

// The defaults are the mix of CloudSuite's data caching: values of a social network, four gets to a set. It has far more
// keys; they would load the server's memory and not the network.
const (
	defaultClients = 1
	defaultKeys    = 1000
	defaultValue   = 550
	defaultSets    = 5

	greatestKeys  = 1e6
	greatestValue = 1 << 19 // memcached takes items of up to 1 MB, with what it adds
)

func (c CacheConfig) withDefaults() CacheConfig {
	for field, value := range map[*int]int{
		&c.Clients: defaultClients, &c.Keys: defaultKeys, &c.Value: defaultValue, &c.Sets: defaultSets,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return c
}

func (c CacheConfig) validate() error {
	switch {
	case !c.Server.IsValid() || c.Server.Port() == 0:
		return fmt.Errorf("server %v: must have an address and a port", c.Server)
	case c.Clients < 1 || c.Clients > greatestFlows:
		return fmt.Errorf("clients %d: must be 1 to %d", c.Clients, greatestFlows)
	case c.Keys < 1 || c.Keys > greatestKeys:
		return fmt.Errorf("keys %d: must be 1 to %d", c.Keys, int(greatestKeys))
	case c.Value < 1 || c.Value > greatestValue:
		return fmt.Errorf("value %d: must be 1 to %d bytes", c.Value, greatestValue)
	case c.Sets < 1:
		return errors.New("sets must not be negative")
	}
	return nil
}

// CacheCounts is what a CacheClient counted since it began or was reset.
type CacheCounts struct {
	Elapsed time.Duration
	Latency *Histogram // from before a request is written until its answer has been read, one for each request
}

// Rate is operations per second.
func (c CacheCounts) Rate() float64 { return float64(c.Latency.Count()) / c.Elapsed.Seconds() }

// CacheClient is a process that asks a memcached for values in a closed loop: each of its clients waits for its answer
// before it asks again. It starts with a set for each key, and asks as soon as it is there. All clients share a thread:
// one that has its answer while another is being served waits for the thread, as processes wait for a core.
type CacheClient struct{ helper *helper }

// StartCacheClient starts one.
func StartCacheClient(c CacheConfig) (*CacheClient, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("start cache client: %w", err)
	}
	h, err := startHelper(roleCache, c.Namespace, c.CPU, c)
	if err != nil {
		return nil, fmt.Errorf("start client of cache at %v: %w", c.Server, err)
	}
	return &CacheClient{h}, nil
}

// Measure counts anew for a time, or until the context ends, which is an error. It is one too if an answer is not what
// was set.
func (c *CacheClient) Measure(ctx context.Context, d time.Duration) (counts CacheCounts, err error) {
	if err := c.helper.ask(askReset, nil); err != nil {
		return counts, err
	}
	select {
	case <-ctx.Done():
		return counts, fmt.Errorf("measure cache: %w", ctx.Err())
	case <-time.After(d):
	}
	err = c.helper.ask(askCounts, &counts)
	return counts, err
}

// Close ends the process. It may be called again.
func (c *CacheClient) Close() error { return c.helper.close() }
