package datapath

import (
	"net/netip"
	"testing"
	"time"

	"falcon/datapath/balance"
)

// What falcon_nic costs a packet, alone and with its data at hand: go test -run '^$' -bench SteerNIC ./datapath.
func BenchmarkSteerNIC(b *testing.B) {
	s := newSteerBench(b, 3)
	if err := s.setNetwork(mostVNI, Off, false, 0); err != nil {
		b.Fatal(err)
	}
	elsewhere := someConversation()
	elsewhere.vni = benchVNI + 1
	off := someConversation()
	off.vni = mostVNI
	host := ipHeader(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"))
	for _, c := range []struct {
		name  string
		frame frame
		place uint32
	}{
		{"host's own packet", frameOf(etherHeader(nicMAC), host, udpHeader(40000, 53), payload(0, make([]byte, 16)...)), allInline},
		{"network that is not steered", elsewhere.frame(), allInline},
		{"network that is off", off.frame(), allInline},
		{"inline", someConversation().frame(), allInline},
		{"hop", someConversation().frame(), vxlanOther},
	} {
		b.Run(c.name, func(b *testing.B) {
			s.wipe()
			s.place(c.place, c.place)
			s.control.values[0].Published = monotonic() + uint64(time.Hour)
			var took time.Duration
			err := onCPU(s.cpu, func() error {
				_, t, err := s.objects.FalconNic.Benchmark(c.frame.bytes, b.N, nil)
				took = t
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/packet")
		})
	}
}

// What a turn of the balancer's loop costs, which comes a hundred times a second: go test -run '^$' -bench Tick ./datapath.
func BenchmarkTick(b *testing.B) {
	for _, c := range []struct {
		name  string
		flows int
	}{{"idle", 0}, {"8 flows", 8}, {"1024 flows", balance.Buckets}} {
		b.Run(c.name, func(b *testing.B) {
			s := newSteerBench(b, 1)
			line, err := readLineup("")
			if err != nil {
				b.Fatal(err)
			}
			s.steering.lineUp(listOf(line.all))
			loop, err := newBalancer(s.steering, line, balance.DefaultSettings, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			defer loop.close()
			first, _ := s.bucketsOf(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range c.flows { // each has had packets
					s.flows.values[first+i].Skbs += 100
					s.flows.values[first+i].Sent += 100
				}
				s.counts.values[0].Nic.Skbs += uint64(100 * c.flows)
				if err := loop.tick(time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func listOf(set CPUSet) (list []int) {
	for cpu := range set.All() {
		list = append(list, cpu)
	}
	return list
}
