package balance

// elastic is what is learned of a core's foreign load: whether it goes with the packets. A process that reads from a
// socket needs the more time the more packets arrive, and softirqs, which come first, can starve it (receive livelock): then
// all the work on a packet is done and nobody gets it. What it will need has to be known before more packets are let
// in, for a starving process does not show it. A regression of foreign load over the rate of delivered packets, in
// which the present counts most. It begins with the belief that without packets there would be no load, the safe side.
type elastic struct {
	rate, load float64 // means
	variance   float64 // of the rate
	covariance float64
}

const (
	smoothElastic = 0.02 // per tick: half a second
	// A change of the rate is worth learning from above this share of its mean; below, it is noise.
	worthLearning = 0.1
)

// learn takes in a tick's rate and foreign load. Not to be called for a core that is full: there, the load is what was
// left, not what was wanted.
func (e *elastic) learn(rate, load float64) {
	r, l := rate-e.rate, load-e.load
	e.rate += smoothElastic * r
	e.load += smoothElastic * l
	if r > worthLearning*e.rate || -r > worthLearning*e.rate {
		e.variance += smoothElastic * (r*r - e.variance)
		e.covariance += smoothElastic * (r*l - e.covariance)
	}
}

// slope is the foreign load that one packet per second more brings.
func (e *elastic) slope() float64 {
	if e.variance <= 0 || e.covariance <= 0 {
		return 0
	}
	return e.covariance / e.variance
}

// at is the foreign load expected at a rate.
func (e *elastic) at(rate float64) float64 {
	return max(0, e.load+e.slope()*(rate-e.rate))
}
