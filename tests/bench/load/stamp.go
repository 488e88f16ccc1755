package load

import "encoding/binary"

// The payload of a UDP packet begins with a stamp, in network byte order:
//
//	0        2                    8                   16
//	| flow   | number             | time              |
//
// Number counts the packets of the flow from 0: 48 bits last for months at any rate. Time is when the packet came due,
// in nanoseconds of the monotonic clock, which all namespaces share.

// stampedNumber is the first word of the stamp.
type stampedNumber uint64

const numberBits = 48

func newNumber(flow int, number uint64) stampedNumber {
	return stampedNumber(uint64(flow)<<numberBits | number)
}

func (n stampedNumber) flow() int      { return int(n >> numberBits) }
func (n stampedNumber) number() uint64 { return uint64(n) & (1<<numberBits - 1) }

// readStamp reads a payload of at least stampSize bytes.
func readStamp(payload []byte) (stampedNumber, uint64) {
	return stampedNumber(binary.BigEndian.Uint64(payload)), binary.BigEndian.Uint64(payload[8:])
}
