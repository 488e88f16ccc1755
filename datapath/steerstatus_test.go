package datapath

import (
	"context"
	"testing"
	"time"
)

// While nothing is steered, a status has the CPUs' load since the one before.
func TestStatusOfIdleSteering(t *testing.T) {
	h := lone(t)
	h.SteeringStatus(context.Background())
	done := make(chan struct{})
	go func() { // a whole CPU's work
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			continue
		}
		close(done)
	}()
	<-done
	s := h.SteeringStatus(context.Background())
	busy := 0.0
	for _, c := range s.Cores {
		busy += c.Busy
		if c.Steerable || c.NIC != (StageCounts{}) {
			t.Errorf("%+v", c)
		}
	}
	if busy < 0.3 || s.CPUs != "" {
		t.Errorf("busy %.2f: %+v", busy, s)
	}
}

// A flow is listed as long as it is used, whether or not it had a packet in the very last moment, with all it has sent.
func TestStatusOfSlowFlow(t *testing.T) {
	p := newPipeline(t, Dynamic)
	g, r := p.generator(1), p.reader(1)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.b.Balance(ctx) }()
	time.Sleep(10 * balanceInterval)
	sent, _ := p.send(g, r, 50, time.Second)
	flows := p.b.SteeringStatus(ctx).Flows
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(flows) != 1 || flows[0].NIC != p.nic || flows[0].Port != pipelinePort || uint64(flows[0].Sent) != sent || flows[0].Volume == 0 {
		t.Errorf("sent %d packets: %+v", sent, flows)
	}
}
