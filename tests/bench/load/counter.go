package load

// FlowCounts is what arrived of one flow.
type FlowCounts struct {
	Received   uint64 // packets, each once
	Bytes      uint64 // of payload
	Lost       uint64 // numbers below the highest that did not come; what is lost at the very end shows only in Sent
	Reordered  uint64 // packets that came after one with a higher number (RFC 4737, section 3.3: Type-P-Reordered)
	Extent     uint64 // the greatest distance, in numbers, by which one was late
	Duplicates uint64
	Ambiguous  uint64 // of those counted as reordered: too late to tell from a duplicate
}

// counter follows the numbers of one flow.
type counter struct {
	FlowCounts
	next uint64                   // the highest number seen, plus 1
	seen [historyBits / 64]uint64 // which of the last numbers came; a number's place is its remainder
}

// historyBits is how far back duplicates are known, in packets of a flow. Late packets of this many numbers need a queue
// as long.
const historyBits = 1 << 14

func (c *counter) bit(number uint64) (word *uint64, mask uint64) {
	at := number % historyBits
	return &c.seen[at/64], 1 << (at % 64)
}

// arrival is what an arriving packet turned out to be.
type arrival uint8

const (
	inOrder arrival = iota
	late
	duplicate
)

// add counts a packet. lost is by how much it changed the number of packets lost.
func (c *counter) add(number uint64, bytes int) (a arrival, lost int64) {
	if number >= c.next {
		lost = int64(number - c.next)
		c.advance(number)
		c.Lost += uint64(lost)
		c.accept(bytes)
		return inOrder, lost
	}
	behind := c.next - 1 - number
	word, mask := c.bit(number)
	switch {
	case behind >= historyBits:
		c.Ambiguous++
	case *word&mask != 0:
		c.Duplicates++
		return duplicate, 0
	default:
		*word |= mask
	}
	c.Reordered++
	c.Extent = max(c.Extent, behind)
	c.accept(bytes)
	if c.Lost > 0 {
		c.Lost--
		lost = -1
	}
	return late, lost
}

func (c *counter) accept(bytes int) {
	c.Received++
	c.Bytes += uint64(bytes)
}

// advance makes a number the highest and forgets those that the history is too short for.
func (c *counter) advance(number uint64) {
	if number-c.next >= historyBits {
		c.seen = [historyBits / 64]uint64{}
	} else {
		for n := c.next; n < number; n++ {
			word, mask := c.bit(n)
			*word &^= mask
		}
	}
	word, mask := c.bit(number)
	*word |= mask
	c.next = number + 1
}
