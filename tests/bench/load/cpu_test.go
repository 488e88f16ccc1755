package load

import (
	"os"
	"testing"
	"time"
)

func TestStatIsRead(t *testing.T) {
	cores, err := parseStat("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 10 20 30 40 50 60 70 80 90 100\ncpu3 1 0 0 0 0 0 5 0 0 0\nintr 1 2\n")
	if err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond
	want := map[int]Core{
		0: {User: 10 * tick, Nice: 20 * tick, System: 30 * tick, Idle: 40 * tick, IOWait: 50 * tick, IRQ: 60 * tick, SoftIRQ: 70 * tick, Steal: 80 * tick},
		3: {User: tick, SoftIRQ: 5 * tick},
	}
	if len(cores) != len(want) || cores[0] != want[0] || cores[3] != want[3] {
		t.Errorf("got %+v, want %+v", cores, want)
	}
	if c := cores[0]; c.Busy() != 190*tick || c.Total() != 360*tick {
		t.Errorf("busy %v of %v", c.Busy(), c.Total())
	}
	for _, bad := range []string{"", "cpu 1 2 3 4 5 6 7 8", "cpu0 1 2", "cpu0 1 2 3 4 x 6 7 8", "cpuX 1 2 3 4 5 6 7 8"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestSoftnetIsRead(t *testing.T) {
	const line = "0000001a 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000000 00000005 00000007 00000000 00000000\n"
	got, err := parseSoftnet(line)
	want := Softnet{Processed: 26, Dropped: 2, Squeezed: 3, Steered: 4, Backlog: 5}
	if err != nil || len(got) != 1 || got[7] != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"1 2 3\n", "x" + line} {
		if _, err := parseSoftnet(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestSoftnetCountersComeRound(t *testing.T) {
	after, before := Softnet{Processed: 5, Backlog: 1}, Softnet{Processed: 1<<32 - 5, Backlog: 9}
	if got := after.minus(before); got.Processed != 10 || got.Backlog != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestSnapshotsDiffer(t *testing.T) {
	before, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond)
	after, err := TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	u := after.Since(before)
	if len(u.Cores) == 0 || u.Elapsed < 30*time.Millisecond {
		t.Fatalf("got %+v", u)
	}
	var total time.Duration
	for _, c := range u.Cores {
		total += c.Total()
	}
	if total <= 0 {
		t.Errorf("got %+v", u)
	}
}

func TestProcessStatIsRead(t *testing.T) {
	user, system, err := parseProcessStat("123 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 30 0 0\n")
	if err != nil || user != 2500*time.Millisecond || system != 300*time.Millisecond {
		t.Errorf("got %v, %v, %v", user, system, err)
	}
	for _, bad := range []string{"", "1 (a) S 1", "1 (a) S 1 2 3 4 5 6 7 8 9 10 x 30 0 0"} {
		if _, _, err := parseProcessStat(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	if _, err := parseSchedstat(""); err == nil {
		t.Error("an empty schedstat passed")
	}
}

func TestProcessTimeIsOurs(t *testing.T) {
	before, err := ProcessTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
	}
	after, err := ProcessTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.Since(before); used.CPU <= 0 {
		t.Errorf("got %+v", used)
	}
	if _, err := ProcessTime(-1); err == nil {
		t.Error("no such process, but no error")
	}
}
