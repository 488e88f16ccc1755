package balance

// Plan is what the balancer wants. The kernel gets there bucket by bucket, as the order of packets allows.
type Plan struct {
	Want    []Placement // by bucket, all of them
	Off     bool        // nothing is hopped: the machine is full without
	Reason  string      // one line for `falcon top`
	Moves   int         // placements that this tick changed
	Hops    int         // listed flows that are wanted elsewhere than inline
	Pending int         // listed flows for which the kernel has not done yet what is wanted
	Load    []float64   // predicted share of each core under Want; above 1 is demand that waits
}

// Reasons, the most important one that applies.
const (
	reasonAlone  = "inline: there is no second core to send packets to"
	reasonFull   = "off: every core is busy without hops, they would only add to it"
	reasonRoom   = "inline: the cores that receive have room to spare"
	reasonSpread = "spreading: a core that receives is full and others have room"
	reasonReturn = "returning: there is room again where packets come in"
	reasonSteady = "steady: no change would win enough"
	reasonWait   = "waiting: wanted changes wait for the order of packets"
)
