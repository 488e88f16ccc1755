package experiment

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
	"falcon/tests/lab"
)

func TestMain(m *testing.M) {
	if ran, err := load.Helper(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, "reader:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	wireMAC = "02:99:00:00:00:01"
	hostMAC = "02:99:00:00:00:02"
)

// wire is a veth: frames go out of uA, and are received at uB, which has the host's address.
type wire struct{ sender, receiver string } // files of namespaces

// newNamespace makes a network namespace that ends with the test.
func newNamespace(t *testing.T) string {
	t.Helper()
	var file *os.File
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if failure = unix.Unshare(unix.CLONE_NEWNET); failure == nil {
			file, failure = os.Open("/proc/thread-self/ns/net")
		}
	}()
	<-done
	if failure != nil {
		t.Fatal(failure)
	}
	t.Cleanup(func() { file.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
}

func newWire(t *testing.T) wire {
	t.Helper()
	lab.Require(t)
	w := wire{sender: newNamespace(t), receiver: newNamespace(t)}
	for _, one := range [][2]string{
		{w.sender, fmt.Sprintf(`
			ip link add uA address %s type veth peer name uB address %s netns %s
			ip link set uA up`, wireMAC, hostMAC, w.receiver)},
		{w.receiver, fmt.Sprintf(`
			ip link set uB up
			ip addr add 10.99.0.2/24 dev uB
			ip neigh add 10.99.0.1 lladdr %s dev uB`, wireMAC)},
	} {
		if out, err := exec.Command("nsenter", "--net="+one[0], "sh", "-euc", one[1]).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", one[1], err, out)
		}
	}
	if err := load.EnableGRO(load.Device{Namespace: w.receiver, Name: "uB"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// paths lead to ports of the host, one by one.
func (w wire) paths(n int, sameDestination bool) []subject.Path {
	from := subject.Place{Device: load.Device{Namespace: w.sender, Name: "uA"}, Addr: netip.MustParseAddr("10.99.0.1"), MTU: 1500}
	to := from
	to.Device, to.Addr = load.Device{Namespace: w.receiver, Name: "uB"}, netip.MustParseAddr("10.99.0.2")
	var all []subject.Path
	for i := range n {
		p := subject.Path{From: from, To: to, FromPort: firstPort + uint16(i), ToPort: firstPort + uint16(i)}
		if sameDestination {
			p.ToPort = firstPort
		}
		all = append(all, p)
	}
	return all
}

// frames do what the bed does.
func (w wire) frames(t *testing.T, paths []subject.Path) load.Config {
	t.Helper()
	c := load.Config{At: load.Device{Namespace: w.sender, Name: "uA"}, Entry: load.NAPI, MTU: pathMTU(paths)}
	for _, p := range paths {
		src, err := load.ParseMAC(wireMAC)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := load.ParseMAC(hostMAC)
		if err != nil {
			t.Fatal(err)
		}
		c.Flows = append(c.Flows, load.Flow{Src: remote(p), Dst: local(p), SrcMAC: src, DstMAC: dst})
	}
	return c
}

func appCPU() int { return min(1, runtime.NumCPU()-1) }

func (w wire) openUDP(t *testing.T, l udpLoad) *udpRig {
	t.Helper()
	r, err := newUDPRig(t.Context(), w.frames(t, l.Paths), appCPU(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestUDPRigCountsByFlow(t *testing.T) {
	w := newWire(t)
	for name, same := range map[string]bool{"one reader": true, "a reader each": false} {
		t.Run(name, func(t *testing.T) {
			r := w.openUDP(t, udpLoad{Paths: w.paths(3, same), Weights: []uint32{1, 2, 3}, Payload: 16})
			if want := map[bool]int{true: 1, false: 3}[same]; len(r.readers) != want {
				t.Errorf("%d readers, want %d", len(r.readers), want)
			}
			// Twice, since each run begins anew.
			for range 2 {
				run, err := r.run(t.Context(), 6000, 100*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					if got, want := run.Flow(i).Received, uint64(100*(i+1)); got != want {
						t.Errorf("flow %d: %d packets, want %d", i, got, want)
					}
				}
				if o := run.Outcome(); o.Sent != 600 || o.Received > 600 || run.Total().Received != 600 {
					t.Errorf("outcome %+v, total %+v", o, run.Total())
				}
				if n := run.Latency().Count(); n != 600 {
					t.Errorf("%d latencies", n)
				}
			}
		})
	}
}

func TestUDPRigSendsFragments(t *testing.T) {
	w := newWire(t)
	r := w.openUDP(t, udpLoad{Paths: w.paths(1, true), Payload: 65507})
	run, err := r.run(t.Context(), 200, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := run.Total(); got.Received != 20 || got.Bytes != 20*65507 || run.Sent.Frames() != 20*45 {
		t.Errorf("sent %+v, got %+v", run.Sent, got)
	}
}

func TestUDPRigTellsWhereItLoses(t *testing.T) {
	w := newWire(t)
	r := w.openUDP(t, udpLoad{Paths: w.paths(1, true), Payload: 16})
	run, err := r.run(t.Context(), 20e6, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	l := run.losses()
	all := 1 - float64(run.Total().Received)/float64(run.Sent.Offered)
	if l.ring < 0.3 || l.ring+l.stack+l.socket < all-1e-9 {
		t.Errorf("losses %+v of %.3f, sent %+v", l, all, run.Sent)
	}
}

func TestRigsRefuseWhatDoesNotMatch(t *testing.T) {
	two := wire{}.paths(2, true)
	if _, err := newUDPRig(t.Context(), load.Config{Flows: make([]load.Flow, 1)}, 0, udpLoad{Paths: two}); err == nil {
		t.Error("one flow for two UDP paths passed")
	}
	if _, err := newUDPRig(t.Context(), load.Config{Flows: make([]load.Flow, 2)}, 0, udpLoad{Paths: two, Weights: []uint32{1}}); err == nil {
		t.Error("one weight for two paths passed")
	}
	if _, err := newTCPRig(t.Context(), load.Config{}, 0, tcpLoad{}); err == nil {
		t.Error("no paths passed")
	}
}

func TestTCPRigFillsStreams(t *testing.T) {
	w := newWire(t)
	paths := w.paths(3, true)
	r, err := newTCPRig(t.Context(), w.frames(t, paths), appCPU(), tcpLoad{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	run, err := r.run(t.Context(), 0, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Sinks) != 1 || run.Gbits() <= 0 || run.Busy(appCPU()) < 0 {
		t.Errorf("%d sinks, %.2f Gbit/s", len(run.Sinks), run.Gbits())
	}
	for i, s := range run.Sinks[0].Streams {
		if s.Bytes == 0 {
			t.Errorf("stream %d got nothing", i)
		}
	}
}

func TestInTime(t *testing.T) {
	of := func(packets ...uint64) []load.Interval {
		var all []load.Interval
		for _, n := range packets {
			all = append(all, load.Interval{Packets: n})
		}
		return all
	}
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		series       []load.Interval
		begin, limit time.Duration
		packets      uint64
		last         time.Duration
	}{
		"nothing":             {nil, 0, ms, 0, 0},
		"only gaps":           {of(0, 0), 0, ms, 0, 0},
		"all":                 {of(0, 3, 2, 1), 0, 5 * ms, 6, 4 * ms},
		"late":                {of(0, 3, 2, 1), 0, 2 * ms, 3, 2 * ms},
		"late after a gap":    {of(3, 0, 0, 0, 1), 0, 3 * ms, 3, ms},
		"a later beginning":   {of(0, 0, 2, 1), 1500 * time.Microsecond, 2 * ms, 3, 2 * ms},
		"all at the very end": {of(0, 0, 0, 9), 0, 4 * ms, 9, 4 * ms},
	} {
		if packets, last := inTime(c.series, ms, c.begin, c.limit); packets != c.packets || last != c.last {
			t.Errorf("%s: %d packets until %v, want %d until %v", name, packets, last, c.packets, c.last)
		}
	}
}
