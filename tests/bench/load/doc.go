// Package load is the instrument of the benchmark: what makes the traffic and what counts it.
//
//   - Generator hands frames to the receiving side of a network device from inside the kernel, so that no sender takes
//     part: UDP packets with numbers and times in them, or TCP segments in sequence; plain or in VXLAN; one flow or many.
//   - UDPReader and TCPSink are the applications that receive them, each a process of its own on a core of its own.
//   - CacheClient is a closed-loop client of a memcached, across a network with two ends.
//   - LossFree and Overload search for rates; Accuracy checks the generator; TakeSnapshot and ProcessTime account for
//     cores and processes.
//
// What it promises: what is lost, late or doubled is counted exactly; a frame is offered at the time that the rate says,
// by the kernel's clock, and one that cannot be taken in time is counted as lost, never silently put off (open loop).
//
// The program that uses it must call Helper first thing in main: readers and clients are that program, started anew.
//
// # The generator
//
// The kernel runs an XDP program on frames of a pool and then does with them what the program says, as it would for
// a driver (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, kernel 5.18; TCP needs tcx, kernel 6.6). The program drops
// the frame at hand until the next one is due; what comes due meanwhile waits in a ring, as long as a NIC's, and the
// packet's time says since when. So there is no pacing in user space, and no need for it.
//
// Measured on a 2-core virtual machine (AMD EPYC, kernel 6.18) while nothing else ran:
//
//   - A turn of the program costs 85 ns, with or without a frame. The frames of a batch are handed on at its end, so with
//     64 turns to a batch, a NAPI poll's budget, a frame waits 2.7 us on average. For latencies at low rates take 8.
//   - Starting a test run costs 12 us, and one lasts up to 45 ms, or longer under load. It costs 8 to 24 ms where the
//     program is attached nowhere: the kernel then enters it into the XDP dispatcher, whose code it rewrites, and waits
//     for RCU, for each run (bpf_prog_change_xdp). So the program is kept attached to the loopback of an empty namespace.
//   - Frames that are dropped at the NIC's ingress: 2.7 million/s by Stack, 1.8 million/s by NAPI, of 16 or 1400 bytes.
//   - The rate is within 0.1% of what is wanted from 1,000 to 300,000 packets/s into an overlay.
//
// The core that the generator is pinned to is the NIC's core: run nothing else there. It shows as busy all the time, and
// what it receives counts as the generator's system time or as softirq time, by the kernel's sampling, which a steady rate
// deceives (periods that divide 4 ms are always sampled at the same point). Sent has the exact figures.
//
// What differs from a NIC: there is no checksum offload, so the receiver verifies checksums in software; there is no
// hash from the NIC; each frame takes a page, so a socket buffer holds fewer small packets (about 4.5 KB each). TCP streams
// have no timestamps and no congestion control, only the receiver's window, a bound, and going back after a loss.
package load
