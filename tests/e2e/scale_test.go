package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

const (
	crowd = 100 // containers on each host
	// startsAtOnce is how many containers each host starts at a time.
	startsAtOnce = 2
)

// A hundred containers on each of two hosts reach each other, and when they are gone, so is all that falcon had for them.
func TestHundredContainers(t *testing.T) {
	f := cluster.open(t)
	before := map[*lab.Host]int{}
	for _, h := range f.Hosts {
		before[h] = openFiles(t, h)
	}
	f.overlay("crowd", "--subnet", "10.80.0.0/22")
	boxes := f.runCrowd(t)
	for _, h := range f.Hosts {
		f.eventually(func() error {
			n := f.status(h).Networks
			if len(n) != 1 || len(n[0].Endpoints) != crowd || n[0].Remote != crowd {
				return fmt.Errorf("status on %s does not count %d and %d: %+v", h.Name, crowd, crowd, n)
			}
			return nil
		})
	}
	for _, b := range boxes {
		b.serve(t)
	}
	// All ask one container of the other host, and some one of their own. More would meet a limit of the kernel's, which has
	// 1024 neighbours at most for all network namespaces together (net.ipv4.neigh.default.gc_thresh3).
	for i, from := range boxes {
		from.asks(t, boxes[(i+73)%len(boxes)])
		if i%10 == 0 {
			from.asks(t, boxes[(i+2)%len(boxes)])
		}
	}
	f.tearDown()
	f.leavesNothing()
	for _, h := range f.Hosts {
		if after := openFiles(t, h); after > before[h]+5 {
			t.Errorf("falcon on %s had %d files open before and has %d after", h.Name, before[h], after)
		}
		f.noMoreGoroutinesThanAtStart(t, h)
	}
}

// asks checks that a single datagram is answered.
func (b box) asks(t *testing.T, to box) {
	t.Helper()
	if name, err := askUDP(b.host, b.sandbox, netip.AddrPortFrom(to.v4, servicePort), "hello"); err != nil || name != to.Name {
		t.Errorf("from %v to %v: %q, %v", b, to, name, err)
	}
}

// runCrowd starts all containers, those of the hosts in turn.
func (f *fixture) runCrowd(t *testing.T) []box {
	t.Helper()
	var all errgroup.Group
	for _, h := range f.Hosts {
		for i := range crowd {
			f.boxes[h] = append(f.boxes[h], fmt.Sprintf("%s-%d", h.Name, i))
		}
		all.Go(func() error {
			var starts errgroup.Group
			starts.SetLimit(startsAtOnce)
			for _, name := range f.boxes[h] {
				starts.Go(func() error {
					_, err := f.try(h, client(), "run", "--detach", "--name", name, "--network", "crowd", lab.ImageName, "sleep", "100000")
					return err
				})
			}
			return starts.Wait()
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	boxes := make([]box, len(f.Hosts)*crowd)
	for n, h := range f.Hosts {
		args := append([]string{"inspect", "--format", "{{.NetworkSettings.SandboxKey}} {{.NetworkSettings.Networks.crowd.IPAddress}}"}, f.boxes[h]...)
		for i, line := range strings.Split(f.docker(h, args...), "\n") {
			sandbox, address, _ := strings.Cut(line, " ")
			v4, err := netip.ParseAddr(address)
			if err != nil {
				t.Fatal(err)
			}
			boxes[i*len(f.Hosts)+n] = box{Container: h.Container(f.boxes[h][i]), host: h, sandbox: sandbox, v4: v4}
		}
	}
	return boxes
}

// openFiles counts the files of a host's falcon.
func openFiles(t *testing.T, h *lab.Host) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.Plugin.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+ `)

// noMoreGoroutinesThanAtStart ends falcon in the way that makes a Go program list its goroutines, twice: now, and after a
// fresh start.
func (f *fixture) noMoreGoroutinesThanAtStart(t *testing.T, h *lab.Host) {
	t.Helper()
	var counts [2]int
	for i := range counts {
		log, err := os.ReadFile(h.Plugin.Log)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Plugin.Signal(unix.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		<-h.Plugin.Done()
		longer, err := os.ReadFile(h.Plugin.Log)
		if err != nil {
			t.Fatal(err)
		}
		counts[i] = len(goroutine.FindAll(longer[len(log):], -1))
		if err := h.Plugin.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("goroutines of falcon on %s: %d after all, %d after a fresh start", h.Name, counts[0], counts[1])
	if counts[1] == 0 || counts[0] > counts[1]+crowd/4 {
		t.Errorf("falcon on %s had %d goroutines in the end, after a fresh start %d", h.Name, counts[0], counts[1])
	}
}
