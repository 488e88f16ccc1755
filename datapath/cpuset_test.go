package datapath

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseCPUList(t *testing.T) {
	for list, want := range map[string][]int{
		"":                nil,
		" \n":             nil,
		"0":               {0},
		"0-3,7\n":         {0, 1, 2, 3, 7},
		"7,0-3":           {0, 1, 2, 3, 7},
		"1-2,2-3,2":       {1, 2, 3},
		"5-5":             {5},
		"31-32,63-64,007": {7, 31, 32, 63, 64},
		"8191":            {8191},
	} {
		got, err := ParseCPUList(list)
		if err != nil || !slices.Equal(slices.Collect(got.All()), want) || got != NewCPUSet(want...) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{",", "1,", "1,,2", "-", "1-", "-1", "3-1", "a", "0x1", "+1", "1 2", "1, 2", "8192", "0-8192",
		"0-31:2/4", "all", "1-2-3", "99999999999999999999", "1_0"} {
		got, err := ParseCPUList(list)
		if err == nil {
			t.Errorf("%q is taken for %v", list, got)
		} else if !strings.Contains(err.Error(), "such as 2-7,10") {
			t.Errorf("%q: does not say what is allowed: %v", list, err)
		}
	}
}

func TestCPUMask(t *testing.T) {
	for list, want := range map[string]string{
		"": "00000000", "0": "00000001", "0-3": "0000000f", "31": "80000000", "32": "00000001,00000000",
		"0-1,64": "00000001,00000000,00000003",
	} {
		set, _ := ParseCPUList(list)
		if got := set.Mask(); got != want {
			t.Errorf("%q: %s, want %s", list, got, want)
		}
	}
	for mask, want := range map[string]string{"3": "0-1", "00\n": "", "00000000,00000003": "0-1", "1,80000000": "31-32"} {
		if got, err := parseCPUMask(mask); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", mask, got, err)
		}
	}
	for _, mask := range []string{"", ",", "x", "100000000", "1,", strings.Repeat("0,", 256) + "1"} {
		if got, err := parseCPUMask(mask); err == nil {
			t.Errorf("%q is taken for %v", mask, got)
		}
	}
}

// Sets do what sets of numbers do, and what is written can be read.
func TestCPUSetIsASet(t *testing.T) {
	numbers := rapid.MapOf(rapid.IntRange(0, 200), rapid.Just(true))
	build := func(m map[int]bool) CPUSet { return NewCPUSet(slices.Collect(maps.Keys(m))...) }
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		a, b := build(ma), build(mb)
		for name, c := range map[string]struct {
			set  CPUSet
			want func(a, b bool) bool
		}{
			"a":         {a, func(a, _ bool) bool { return a }},
			"union":     {a.Union(b), func(a, b bool) bool { return a || b }},
			"intersect": {a.Intersect(b), func(a, b bool) bool { return a && b }},
			"minus":     {a.Minus(b), func(a, b bool) bool { return a && !b }},
		} {
			n := 0
			for cpu := -1; cpu < 300; cpu++ {
				want := c.want(ma[cpu], mb[cpu])
				if want {
					n++
				}
				if c.set.Contains(cpu) != want {
					t.Fatalf("%s of %v and %v: %d", name, a, b, cpu)
				}
			}
			if c.set.Len() != n || c.set.IsEmpty() != (n == 0) {
				t.Fatalf("%s: %d of %d", name, c.set.Len(), n)
			}
			if again, err := ParseCPUList(c.set.String()); err != nil || again != c.set {
				t.Fatalf("%s: %v becomes %v, %v", name, c.set, again, err)
			}
			if again, err := parseCPUMask(c.set.Mask()); err != nil || again != c.set {
				t.Fatalf("%s: %v becomes %v, %v", name, c.set, again, err)
			}
		}
		if (a == b) != maps.Equal(ma, mb) {
			t.Fatalf("%v == %v", a, b)
		}
	})
}

func FuzzCPUSet(f *testing.F) {
	f.Add("0-3,7")
	f.Add("00000001,80000003")
	f.Add("0-31:2/4")
	f.Fuzz(func(t *testing.T, s string) {
		if set, err := ParseCPUList(s); err == nil {
			if again, err := ParseCPUList(set.String()); err != nil || again != set {
				t.Errorf("%q: %v, then %v, %v", s, set, again, err)
			}
		}
		if set, err := parseCPUMask(s); err == nil {
			if again, err := parseCPUMask(set.Mask()); err != nil || again != set {
				t.Errorf("%q: %v, then %v, %v", s, set, again, err)
			}
		}
	})
}
