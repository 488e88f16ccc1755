// Package sim runs the balancer's real decision on simulated machines, beside the policies that it has to beat. The
// model is a fluid one: in each step of a tenth of a millisecond every core works off its receive ring and its backlog, which
// are bounded like the kernel's, and what it hands on lands in another core's backlog. Softirqs come before
// applications. It says nothing about latency below a step.
package sim

import (
	"time"

	"falcon/datapath/balance"
)

// Shape is a machine: Cores logical CPUs, SMT of them to a physical core, Nodes NUMA nodes.
type Shape struct{ Cores, SMT, Nodes int }

// Machine numbers the threads of a physical core next to each other.
func (s Shape) Machine() balance.Machine {
	m := balance.Machine{Cores: make([]balance.Core, s.Cores)}
	smt, nodes := max(s.SMT, 1), max(s.Nodes, 1)
	for i := range m.Cores {
		c := &m.Cores[i]
		c.CPU, c.Allowed, c.Node = i, true, i*nodes/s.Cores
		for t := range smt {
			if sibling := i/smt*smt + t; sibling != i && sibling < s.Cores {
				c.Sibling = append(c.Sibling, sibling)
			}
		}
	}
	return m
}

// Flow is a stream of packets.
type Flow struct {
	Rate       float64 // packets per second
	NIC        int     // core that the NIC interrupts for it
	Start, End time.Duration
	SurgeAt    time.Duration // from here on the rate is Surge; 0: never
	Surge      float64
	Reader     int           // core of the process that reads it; -1: what reaches the socket is delivered
	ReadCost   time.Duration // per packet
}

// App is a process that would use a share of a core.
type App struct {
	Core       int
	Share      float64
	Start, End time.Duration
}

// Scenario is one experiment. Zero ends mean the end of the run.
type Scenario struct {
	Name     string
	Shape    Shape
	Flows    []Flow
	Apps     []App
	Duration time.Duration
	Measure  time.Duration // results count from here
	Changing bool          // the load itself goes on changing, so there is no steady state
	Seed     uint64
}
