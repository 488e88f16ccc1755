package subject

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestCoresAreChosenAmongThoseThatMayBeUsed(t *testing.T) {
	for _, c := range []struct {
		usable []int
		want   Cores
	}{
		{[]int{0, 1}, Cores{0, 1, 0}},
		{[]int{4, 9}, Cores{4, 9, 4}},
		{[]int{0, 1, 2}, Cores{0, 1, 0}},
		{[]int{0, 1, 2, 3}, Cores{0, 1, 2}},
		{[]int{1, 3, 5, 70, 71}, Cores{1, 3, 5}},
	} {
		var set unix.CPUSet
		for _, cpu := range c.usable {
			set.Set(cpu)
		}
		if got, err := chooseCores(&set); err != nil || got != c.want {
			t.Errorf("%v: got %+v, %v, want %+v", c.usable, got, err, c.want)
		}
	}
	var one unix.CPUSet
	one.Set(2)
	if got, err := chooseCores(&one); err == nil {
		t.Errorf("of one core it chose %+v", got)
	}
}
