package load

import "time"

// Sent is what a generator did in one run.
type Sent struct {
	Flows   []FlowSent
	Offered uint64        // packets that came due, the sum of all flows
	Missed  uint64        // frames that found the NIC's ring full; always 0 at rate 0
	Elapsed time.Duration // from the first packet to the last, or at rate 0 to the end

	// Where the core's time went; the rest of Elapsed went into making frames. Both count what else ran on the core.

	Idle      time.Duration // nothing was due, or all windows were shut
	Receiving time.Duration // in the kernel's receive path, as far as it ran inline or in softirqs of this core
}

// FlowSent is one flow's part. A fragmented packet is many frames.
type FlowSent struct {
	Offered uint64 // packets that came due; TCP: also those that found the window shut
	Packets uint64 // packets handed to the device, whole or with at least their first fragment; TCP: segments, also those sent again
	Frames  uint64 // frames handed to the device
	Bytes   uint64 // of those frames, from the Ethernet header on

	// TCP only.

	Stream      uint64 // bytes of payload acknowledged
	Retransmits uint64 // times that the stream went back to a loss
}

// Packets is the sum of all flows.
func (s Sent) Packets() uint64 { return s.sum(func(f FlowSent) uint64 { return f.Packets }) }

// Frames is the sum of all flows.
func (s Sent) Frames() uint64 { return s.sum(func(f FlowSent) uint64 { return f.Frames }) }

// Bytes is the sum of all flows.
func (s Sent) Bytes() uint64 { return s.sum(func(f FlowSent) uint64 { return f.Bytes }) }

// Rate is packets handed over per second.
func (s Sent) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Packets()) / s.Elapsed.Seconds()
}

func (s Sent) sum(of func(FlowSent) uint64) uint64 {
	var total uint64
	for _, f := range s.Flows {
		total += of(f)
	}
	return total
}
