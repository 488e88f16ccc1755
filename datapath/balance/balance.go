// Package balance decides on which core each stage of a flow runs. It is pure: loads and rates in, placements out;
// no clock, no kernel, no randomness. The datapath feeds it and publishes what it wants; package sim runs the same
// code on machines of up to 128 cores.
//
// What it promises:
//   - A packet is sent to another core only where that wins: a core that has room to spare keeps its packets.
//   - Work goes where it makes the fullest cores less full, foreign work (applications) counted as work.
//   - Nothing flaps: a change must win by a margin, stays for a while, and shows in the predicted loads before the next
//     one is decided.
//   - It allocates nothing after New.
package balance

// Buckets is the number of buckets that flows are hashed into. All flows of a bucket share a placement.
const Buckets = 1024

// A received packet crosses these stages in order. The first runs on the core that the NIC interrupts; a packet can be
// sent to another core before each of the other two.
const (
	NIC       = iota // driver, GRO, outer IP and UDP, decapsulation
	VXLAN            // bridge, netfilter, veth
	Container        // the container's IP, UDP or TCP, socket
	Stages           // how many there are
)
