package load

import (
	"bytes"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"falcon/tests/lab"
)

// written loads the program and lets it write some frames, without sending them.
func written(t *testing.T, c Config, n int) (plan, [][]byte) {
	t.Helper()
	lab.Require(t)
	p, err := newPlan(c)
	if err != nil {
		t.Fatal(err)
	}
	var o genObjects
	if err := p.load(&o); err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	now, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Run.Set(genRun{Start: now, Deadline: now + uint64(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	frame := p.frame
	var all [][]byte
	for range n {
		out := make([]byte, len(p.frame))
		// What one turn wrote is where the next begins, as in a page that is used again.
		options := ebpf.RunOptions{Data: frame, DataOut: out}
		verdict, err := o.Generate.Run(&options)
		if err != nil {
			t.Fatal(err)
		}
		if verdict != 2 {
			t.Fatalf("verdict %d, want XDP_PASS", verdict)
		}
		frame = append(bytes.Clone(options.DataOut), frame[len(options.DataOut):]...)
		all = append(all, options.DataOut)
	}
	return p, all
}

func TestProgramWritesTheTemplatesFrames(t *testing.T) {
	each(t, func(t *testing.T, c Config) {
		tp := newTemplate(c)
		const packets = 7
		p, frames := written(t, c, packets*tp.fragments())
		for i, got := range frames {
			packet, fragment := i/tp.fragments(), i%tp.fragments()
			flow, rank := packet%len(c.Flows), packet/len(c.Flows)
			v := variables{number: newNumber(flow, uint64(rank)), ident: uint32(packet), sequence: c.Sequence + uint32(rank*c.Payload)}
			if c.Protocol == UDP && fragment == 0 {
				_, v.time = readStamp(got[p.settings.Layout.Header:])
				if v.time == 0 {
					t.Error("no time")
				}
			}
			// The checksum covers the stamp of the first fragment; the others do not show it.
			if want := tp.frame(c.Flows[flow], fragment, v); !bytes.Equal(got, want) {
				t.Fatalf("packet %d, fragment %d:\ngot  %x\nwant %x", packet, fragment, got[:min(200, len(got))], want[:min(200, len(want))])
			}
		}
	})
}

func TestProgramSchedulesByWeight(t *testing.T) {
	c := Config{At: Device{Name: "eth0"}, Flows: flows(t, 3, inner4), Payload: 16}.withDefaults()
	c.Flows[0].Weight = 3
	p, frames := written(t, c, 10)
	var got []stampedNumber
	for _, f := range frames {
		number, _ := readStamp(f[p.settings.Layout.Header:])
		got = append(got, number)
	}
	want := []stampedNumber{
		newNumber(0, 0), newNumber(1, 0), newNumber(0, 1), newNumber(2, 0), newNumber(0, 2),
		newNumber(0, 3), newNumber(1, 1), newNumber(0, 4), newNumber(2, 1), newNumber(0, 5),
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("packet %d: flow %d number %d, want flow %d number %d", i, got[i].flow(), got[i].number(), want[i].flow(), want[i].number())
		}
	}
}
