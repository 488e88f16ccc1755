// Package load is the instrument of the benchmark: what makes the traffic and what counts it.
//
//   - Generator hands frames to the receiving side of a network device from inside the kernel, so that no sender takes
//     part: UDP packets with numbers and times in them, or TCP segments in sequence; plain or in VXLAN; one flow or many.
//   - UDPReader and TCPSink are the applications that receive them, each a process of its own on a core of its own.
//   - LossFree and Overload search for rates, Snapshot accounts for cores.
//
// What it promises: what is lost, late or doubled is counted exactly; a frame is offered at the time that the rate says,
// by the kernel's clock, and one that cannot be taken in time is counted as lost, never silently put off (open loop).
//
// The program that uses it must call Helper first thing in main: the readers are that program, started anew.
//
// # The generator
//
// The kernel runs an XDP program on frames of a pool and then does with them what the program says, as it would for
// a driver (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, kernel 5.18). The program drops the frame at hand until the
// next one is due. Measured on a 2-core virtual machine (AMD EPYC, kernel 6.18):
//
//   - A turn without a frame costs 85 ns, and a batch of turns ends before its frames are handed on: that bounds how
//     precise the clock is (16 turns: 1.4 us).
//   - Starting a test run costs 12 us, during which frames wait in the ring as they would in a NIC's. It costs 8 to 20 ms
//     where the program is attached nowhere: the kernel then enters it into the XDP dispatcher, whose code it rewrites,
//     and waits for RCU, for each run. So the program is attached to the loopback of an empty namespace.
//
// The core that the generator is pinned to is the NIC's core. It shows as busy all the time, and what is received inline
// counts as system time of the generator; Sent tells idle, generating and receiving apart. Run nothing else there.
//
// What differs from a NIC: there is no checksum offload, so the receiver verifies checksums in software; there is no
// hash from the NIC; each frame takes a page, so a socket buffer holds fewer small packets (about 4.5 KB each).
package load
