package datapath

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"falcon/tests/bench/load"
)

// orderPackets is how many packets this test sends for each number of flows; $FALCON_ORDER_PACKETS says otherwise. More than go test
// has patience for, at some 10^5 to 10^6 per second, wants its -timeout too.
const orderPackets = 1_000_000

// orderReport is how often a long run tells how far it is.
const orderReport = 10 * time.Second

// Flows that are told to go elsewhere as fast as can be, under as much load as the machine can take, arrive in order and whole.
func TestSteerKeepsOrderWhileFlowsMigrate(t *testing.T) {
	packets := orderPackets
	if s, ok := os.LookupEnv("FALCON_ORDER_PACKETS"); ok {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		packets = n
	}
	for _, c := range []struct {
		name     string
		flows    int
		pipeline func(*testing.T, Mode) *pipeline
	}{
		{"1 flow", 1, newPipeline}, {"8 flows", 8, newPipeline}, {"64 flows", 64, newPipeline},
		{"1 flow, shortcut", 1, newShortPipeline}, {"64 flows, shortcut", 64, newShortPipeline},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, flows := c.pipeline(t, Dynamic), c.flows
			g, r := p.generator(flows), p.reader(flows)
			stop := p.shuffle(func(slot func() uint32) {
				p.b.steer.programs.publish(func(table []steerPlan) {
					for i := range table {
						place := slot() | slot()<<16
						table[i].Placement = [2]uint32{place, place}
					}
				})
			})
			defer stop()
			o := p.sendMany(g, r, uint64(packets))
			migrations, held := p.migrations()
			t.Logf("%d packets, %d migrations, %d skbs held for order, %d dropped at sockets and backlogs", o.sent, migrations, held, o.dropped)
			o.check(t)
			if migrations < max(uint64(packets)/50_000, 20) {
				t.Errorf("only %d migrations: the test shows little", migrations)
			}
		})
	}
}

// orderly is what came of many packets. What backlogs dropped counts once in dropped, and may have been chains, with more packets.
type orderly struct{ sent, lost, reordered, duplicates, dropped, more uint64 }

// longestChain is how many datagrams GRO chains at most (UDP_GRO_CNT_MAX).
const longestChain = 64

// check wants them in order and, but for what sockets and backlogs had no room for, whole.
func (o orderly) check(t *testing.T) {
	t.Helper()
	if o.sent == 0 || o.reordered > 0 || o.duplicates > 0 || o.lost < o.dropped || o.lost > o.dropped+o.more {
		t.Errorf("%+v: want none reordered or duplicated, and none lost but those dropped", o)
	}
}

// sendMany offers packets as fast as can be until there were so many.
func (p *pipeline) sendMany(g *load.Generator, r *load.UDPReader, packets uint64) (o orderly) {
	p.b.t.Helper()
	reported := time.Now()
	for o.sent < packets {
		if time.Since(reported) >= orderReport {
			p.b.t.Logf("%d of %d packets: %+v", o.sent, packets, o)
			reported = time.Now()
		}
		before := p.backlogDrops()
		sent, got := p.send(g, r, 0, time.Second)
		n := got.Total()
		o.sent += sent
		o.lost += sent - n.Received
		o.reordered += n.Reordered
		o.duplicates += n.Duplicates
		backlogs := p.backlogDrops() - before
		o.dropped += got.Dropped + backlogs
		if p.b.shortcut { // else packets go to the core that may be full before they are chained
			o.more += (longestChain - 1) * backlogs
		}
	}
	return o
}

func (p *pipeline) backlogDrops() (drops uint64) {
	p.b.t.Helper()
	s, err := openCPUSampler("")
	if err != nil {
		p.b.t.Fatal(err)
	}
	defer s.close()
	samples, err := s.sample()
	if err != nil {
		p.b.t.Fatal(err)
	}
	for _, cpu := range samples {
		drops += cpu.Dropped
	}
	return drops
}

func (p *pipeline) migrations() (done, held uint64) {
	for _, c := range p.counts() {
		done += c.Nic.Migrations + c.Vxlan.Migrations
		held += c.Nic.Held + c.Vxlan.Held
	}
	return done, held
}

// shuffle publishes other placements every millisecond until the function returned is called: publish is given random slots.
func (p *pipeline) shuffle(publish func(slot func() uint32)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	slots := uint32(p.b.steer.line.all.Len())
	random := rand.New(rand.NewPCG(1, 2))
	slot := func() uint32 {
		if n := random.Uint32N(slots + 1); n < slots {
			return n
		}
		return slotInline
	}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			publish(slot)
			time.Sleep(time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}
