package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Softnet is what one core's network softirq did.
type Softnet struct {
	Processed uint64 // packets that passed the core's receive path, once for each softirq that they took
	Dropped   uint64 // packets that found the core's backlog full (net.core.netdev_max_backlog)
	Squeezed  uint64 // times that the softirq stopped with work left
	Steered   uint64 // packets that RPS sent here from other cores
	Backlog   uint64 // packets that wait right now; not a difference, also between snapshots
}

func (s Softnet) minus(o Softnet) Softnet {
	// The kernel counts in 32 bits and begins anew.
	count := func(now, before uint64) uint64 { return uint64(uint32(now - before)) }
	return Softnet{count(s.Processed, o.Processed), count(s.Dropped, o.Dropped), count(s.Squeezed, o.Squeezed), count(s.Steered, o.Steered), s.Backlog}
}

// Columns of /proc/net/softnet_stat (kernel, softnet_seq_show); the core's number came with 5.10.
const (
	columnProcessed = 0
	columnDropped   = 1
	columnSqueezed  = 2
	columnSteered   = 9
	columnBacklog   = 11
	columnCore      = 12
	leastColumns    = 13
)

// parseSoftnet reads the lines, which are hexadecimal, by number of the core.
func parseSoftnet(text string) (map[int]Softnet, error) {
	cores := map[int]Softnet{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < leastColumns {
			return nil, fmt.Errorf("line %q has %d columns: must be at least %d (kernel 5.10)", strings.TrimSpace(line), len(fields), leastColumns)
		}
		values := make([]uint64, leastColumns)
		for i := range values {
			v, err := strconv.ParseUint(fields[i], 16, 32)
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", strings.TrimSpace(line), err)
			}
			values[i] = v
		}
		cores[int(values[columnCore])] = Softnet{values[columnProcessed], values[columnDropped], values[columnSqueezed], values[columnSteered], values[columnBacklog]}
	}
	return cores, nil
}
