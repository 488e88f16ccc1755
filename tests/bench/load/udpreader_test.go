package load

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

// local is a reader in a namespace of its own, with a socket to send to it.
func local(t *testing.T, c ReaderConfig) (*UDPReader, net.Conn) {
	t.Helper()
	lab.Require(t)
	namespace := newNamespace(t)
	topology{}.in(t, namespace, "ip link set lo up")
	c.Namespace, c.Listen = namespace, netip.MustParseAddrPort("127.0.0.1:5001")
	r := newReader(t, c)
	var conn net.Conn
	if err := onThread(namespace, anyCPU, func() (err error) {
		conn, err = net.Dial("udp", c.Listen.String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return r, conn
}

// stamped is a payload with a stamp.
func stamped(flow int, number, time uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(newNumber(flow, number)))
	return binary.BigEndian.AppendUint64(b, time)
}

func TestReaderCountsByFlowAndTime(t *testing.T) {
	r, conn := local(t, ReaderConfig{Flows: 2, Interval: time.Millisecond})
	now, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{
		stamped(0, 0, now), stamped(1, 1, now), stamped(1, 0, now), stamped(0, 0, now), stamped(0, 2, now),
		[]byte("short"), stamped(2, 0, now),
	} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Drain(t.Context(), 30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	want := []FlowCounts{{Received: 2, Bytes: 32, Lost: 1, Duplicates: 1}, {Received: 2, Bytes: 32, Reordered: 1, Extent: 1}}
	for i := range want {
		if got.Flows[i] != want[i] {
			t.Errorf("flow %d: got %+v, want %+v", i, got.Flows[i], want[i])
		}
	}
	if got.Foreign != 2 || got.Latency.Count() != 4 {
		t.Errorf("%d foreign, %d latencies", got.Foreign, got.Latency.Count())
	}
	var all Interval
	for _, i := range got.Series {
		all.Packets, all.Bytes, all.Lost, all.Reordered = all.Packets+i.Packets, all.Bytes+i.Bytes, all.Lost+i.Lost, all.Reordered+i.Reordered
	}
	if all != (Interval{Packets: 4, Bytes: 64, Lost: 1, Reordered: 1}) {
		t.Errorf("the series adds up to %+v", all)
	}
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	if got, err = r.Counts(); err != nil || got.Total() != (FlowCounts{}) || got.Foreign != 0 || got.Latency.Count() != 0 {
		t.Errorf("after a reset: %+v, %v", got.Total(), err)
	}
}

func TestReaderCountsWhatItsSocketDropped(t *testing.T) {
	r, conn := local(t, ReaderConfig{Buffer: 4608})
	// More than fits, while the reader cannot run.
	process, err := os.FindProcess(r.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const packets = 200
	for i := range packets {
		if _, err := conn.Write(stamped(0, uint64(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(t.Context(), 30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if got.Dropped == 0 || got.Dropped+got.Total().Received != packets {
		t.Errorf("received %d, dropped %d of %d", got.Total().Received, got.Dropped, packets)
	}
}

func TestReaderIsPinnedAndEnds(t *testing.T) {
	r, _ := local(t, ReaderConfig{})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("Cpus_allowed_list:\t%d\n", readerCPU()); !strings.Contains(string(status), want) {
		t.Errorf("want %q in\n%s", want, status)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", r.Pid())); err == nil {
		t.Error("the process is still there")
	}
	if _, err := r.Counts(); err == nil {
		t.Error("a closed reader counts")
	}
}

func TestReadersThatCannotBeAreRefused(t *testing.T) {
	lab.Require(t)
	good := netip.MustParseAddrPort("127.0.0.1:5001")
	for want, c := range map[string]ReaderConfig{
		"address":     {},
		"payload 8":   {Listen: good, Payload: 8},
		"flows":       {Listen: good, Flows: -1},
		"batch":       {Listen: good, Batch: 2000},
		"negative":    {Listen: good, Buffer: -1},
		"bind":        {Listen: netip.MustParseAddrPort("192.0.2.1:5001")},
		"bind to CPU": {Listen: good, CPU: 1000},
		"/absent":     {Listen: good, Namespace: "/absent"},
	} {
		if r, err := StartUDPReader(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %s", err, want)
			if err == nil {
				r.Close()
			}
		}
	}
}
