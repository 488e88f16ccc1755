package balance

import (
	"fmt"
	"time"
)

// Settings are the balancer's thresholds. Shares are of one core, 0 to 1.
type Settings struct {
	// Spread: packets may leave a core that is fuller than this, and return to it when it would stay below Return.
	Spread, Return float64
	// High and Low: hopping stops when the machine would be fuller than High without any hop, and begins again below Low.
	High, Low float64
	// DeadBand is how much pressure a move must save, as a share of the flow's work.
	DeadBand float64
	// Dwell is how long a placement stays, or two fifths of it where a core drops packets. When a bucket does not come to rest, it
	// gets longer each time.
	Dwell time.Duration
	// Calm is how long a placement stays before packets return to fewer cores for want of need.
	Calm time.Duration
	// Moves and Tries limit how many buckets one tick moves, and how many it examines.
	Moves, Tries int
}

// DefaultSettings were chosen in the simulator (package sim).
var DefaultSettings = Settings{
	Spread: 0.70, Return: 0.50,
	High: 0.85, Low: 0.70,
	DeadBand: 0.08,
	Dwell:    50 * time.Millisecond,
	Calm:     time.Second,
	Moves:    64,
	Tries:    64,
}

// Check reports a setting that makes no sense, and what is allowed.
func (s Settings) Check() error {
	switch {
	case !(0 < s.Return && s.Return < s.Spread && s.Spread < 1):
		return fmt.Errorf("check settings: return %.2f, spread %.2f: allowed is 0 < return < spread < 1", s.Return, s.Spread)
	case !(0 < s.Low && s.Low < s.High && s.High < 1):
		return fmt.Errorf("check settings: low %.2f, high %.2f: allowed is 0 < low < high < 1", s.Low, s.High)
	case !(0 < s.DeadBand && s.DeadBand < 1):
		return fmt.Errorf("check settings: dead band %.2f: allowed is more than 0 and less than 1", s.DeadBand)
	case s.Dwell <= 0 || s.Calm < s.Dwell:
		return fmt.Errorf("check settings: dwell %v, calm %v: allowed is 0 < dwell <= calm", s.Dwell, s.Calm)
	case s.Moves < 1 || s.Moves > Buckets:
		return fmt.Errorf("check settings: %d moves per tick: allowed are 1 to %d", s.Moves, Buckets)
	case s.Tries < s.Moves || s.Tries > Buckets:
		return fmt.Errorf("check settings: %d tries per tick: allowed are %d (moves) to %d", s.Tries, s.Moves, Buckets)
	}
	return nil
}
