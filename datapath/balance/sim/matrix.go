package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// readCost is what a reader process spends on a packet: recvmsg and its share of waking up, as measured with one UDP flow of
// 16 B (docs/bench).
const readCost = 900 * time.Nanosecond

// Matrix is the set of scenarios that every change of the balancer has to pass.
func Matrix() []Scenario {
	var list []Scenario
	add := func(name string, shape Shape, flows []Flow, apps ...App) *Scenario {
		list = append(list, Scenario{
			Name: name, Shape: shape, Flows: flows, Apps: apps,
			Duration: 1500 * time.Millisecond, Measure: 500 * time.Millisecond, Seed: uint64(len(list) + 1),
		})
		return &list[len(list)-1]
	}
	for _, cores := range []int{2, 3} {
		for _, load := range []float64{150e3, 250e3, 300e3, 350e3, 800e3} {
			add(fmt.Sprintf("%d cores, elephant %.0fk, reader on 1", cores, load/1e3), Shape{cores, 1, 1}, reader(load, 1))
		}
	}
	add("2 cores, elephant 800k", Shape{2, 1, 1}, elephants(1, 800e3, 1))
	add("3 cores, elephant 800k", Shape{3, 1, 1}, elephants(1, 800e3, 1))
	add("4 cores, elephant 800k", Shape{4, 1, 1}, elephants(1, 800e3, 1))
	add("4 cores, elephant 200k", Shape{4, 1, 1}, elephants(1, 200e3, 1))
	add("4 cores, app 0.5 on 1", Shape{4, 1, 1}, elephants(1, 800e3, 1), App{Core: 1, Share: 0.5})
	add("4 cores, apps 0.9 on 1-3", Shape{4, 1, 1}, elephants(1, 800e3, 1), App{Core: 1, Share: 0.9}, App{Core: 2, Share: 0.9}, App{Core: 3, Share: 0.9})
	add("4 cores, 4 elephants on 4", Shape{4, 1, 1}, elephants(4, 400e3, 4))
	add("4 cores, 4 elephants on 4, light", Shape{4, 1, 1}, elephants(4, 150e3, 4))
	add("8 cores SMT, 3 elephants on 1", Shape{8, 2, 1}, elephants(3, 250e3, 1))
	add("8 cores, 4 elephants on 4", Shape{8, 1, 1}, elephants(4, 500e3, 4))
	add("8 cores, 6 elephants on 6", Shape{8, 1, 1}, elephants(6, 400e3, 6))
	add("8 cores, mice 600k on 1", Shape{8, 1, 1}, mice(300, 600e3, 1))
	add("8 cores, mice 100k on 1", Shape{8, 1, 1}, mice(300, 100e3, 1))
	add("8 cores, mice 3M on 8", Shape{8, 1, 1}, mice(300, 3e6, 8))
	add("8 cores, mice 1.5M on 4", Shape{8, 1, 1}, mice(300, 1.5e6, 4))
	add("16 cores SMT 2 nodes, mixed on 4", Shape{16, 2, 2}, append(elephants(4, 300e3, 4), mice(200, 400e3, 4)...))
	add("16 cores, 40 flows on 8", Shape{16, 1, 1}, elephants(40, 60e3, 8), App{Core: 8, Share: 0.9}, App{Core: 9, Share: 0.9})
	add("32 cores SMT 2 nodes, 8 elephants on 8", Shape{32, 2, 2}, elephants(8, 600e3, 8))
	add("64 cores 4 nodes, mixed on 16", Shape{64, 1, 4}, append(elephants(16, 300e3, 16), mice(200, 1e6, 16)...))
	add("128 cores SMT 4 nodes, 16 elephants on 16", Shape{128, 2, 4}, elephants(16, 600e3, 16))
	add("8 cores, churn on 2", Shape{8, 1, 1}, churn(400, 2)).Changing = true
	add("8 cores, hotspot", Shape{8, 1, 1}, hotspot(4, 100e3, 600e3, 4)).Changing = true
	add("8 cores, app appears", Shape{8, 1, 1}, elephants(2, 500e3, 2), App{Core: 2, Share: 0.9, Start: 700 * time.Millisecond}, App{Core: 3, Share: 0.9, Start: 700 * time.Millisecond}).Changing = true
	return list
}

func reader(rate float64, core int) []Flow {
	return []Flow{{Rate: rate, Reader: core, ReadCost: readCost}}
}

// elephants are n flows of a rate, on the first nics cores in turn.
func elephants(n int, rate float64, nics int) []Flow {
	flows := make([]Flow, n)
	for i := range flows {
		flows[i] = Flow{Rate: rate, NIC: i % nics, Reader: -1}
	}
	return flows
}

// mice are n flows that together have a rate, each between half and one and a half times its part.
func mice(n int, sum float64, nics int) []Flow {
	random := rand.New(rand.NewPCG(uint64(n), 4))
	flows := elephants(n, sum/float64(n), nics)
	for i := range flows {
		flows[i].Rate *= 0.5 + random.Float64()
	}
	return flows
}

// churn is a coming and going: each flow lives for 20 to 300 ms, about one in ten of them large.
func churn(n int, nics int) []Flow {
	random := rand.New(rand.NewPCG(uint64(n), 5))
	flows := elephants(n, 5e3, nics)
	for i := range flows {
		f := &flows[i]
		f.Start = time.Duration(random.Float64() * float64(1500*time.Millisecond))
		f.End = f.Start + time.Duration((20+280*random.Float64())*float64(time.Millisecond))
		if random.IntN(10) == 0 {
			f.Rate = 100e3
		}
	}
	return flows
}

// hotspot has one of n flows grow at 700 ms.
func hotspot(n int, rate, to float64, nics int) []Flow {
	flows := elephants(n, rate, nics)
	flows[0].SurgeAt, flows[0].Surge = 700*time.Millisecond, to
	return flows
}
