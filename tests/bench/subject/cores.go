package subject

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Cores say what runs where. On two cores the clients share that of the NIC, since the receive softirq of a veth runs on
// the sender's core anyway.
type Cores struct {
	NIC    int // takes the NIC's interrupts: the generator's core
	App    int // the receiving application's
	Client int // sending programs'
}

// coresOfTheirOwn is how many cores there must be for clients to have one: below four, what steering could use besides
// these two would be gone.
const coresOfTheirOwn = 4

// findCores chooses among the cores that this process may use; the kernel leaves those out that are offline.
func findCores() (Cores, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return Cores{}, fmt.Errorf("read CPU affinity: %w", err)
	}
	return chooseCores(&set)
}

func chooseCores(set *unix.CPUSet) (Cores, error) {
	var usable []int
	for cpu := 0; len(usable) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			usable = append(usable, cpu)
		}
	}
	if len(usable) < 2 {
		return Cores{}, errors.New("choose cores: there is one only: the NIC and the application need one each")
	}
	c := Cores{NIC: usable[0], App: usable[1], Client: usable[0]}
	if len(usable) >= coresOfTheirOwn {
		c.Client = usable[2]
	}
	return c, nil
}

// Describe tells it in words, for the report.
func (c Cores) Describe() map[string]string {
	return map[string]string{
		"NIC, generator":        strconv.Itoa(c.NIC),
		"receiving application": strconv.Itoa(c.App),
		"sending programs":      strconv.Itoa(c.Client),
	}
}
