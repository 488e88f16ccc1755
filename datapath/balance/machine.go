package balance

import (
	"fmt"
	"math"
	"slices"
)

// Core is an online CPU. Cores are referred to by their index in Machine.Cores.
type Core struct {
	CPU     int   // the kernel's number
	Allowed bool  // packets may be sent to it
	Sibling []int // cores that share its execution units (SMT), itself excluded
	Node    int   // NUMA
}

// Machine is what the balancer has to know of the host. It does not change: after hotplug, make a new Balancer.
type Machine struct{ Cores []Core }

// Check reports what is wrong with a machine: an index that does not exist, a core that is its own sibling.
func (m Machine) Check() error {
	if len(m.Cores) == 0 || len(m.Cores) > math.MaxInt16 {
		return fmt.Errorf("check machine: %d cores, allowed are 1 to %d", len(m.Cores), math.MaxInt16)
	}
	for i, c := range m.Cores {
		for _, s := range c.Sibling {
			if s < 0 || s >= len(m.Cores) || s == i {
				return fmt.Errorf("check machine: core %d has sibling %d, allowed are the other indices below %d", i, s, len(m.Cores))
			}
		}
	}
	return nil
}

// allowed lists the cores that packets may be sent to.
func (m Machine) allowed() []int16 {
	var list []int16
	for i, c := range m.Cores {
		if c.Allowed {
			list = append(list, int16(i))
		}
	}
	return list
}

func (m Machine) siblings(a, b int16) bool { return slices.Contains(m.Cores[a].Sibling, int(b)) }
