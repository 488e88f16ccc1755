package datapath

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// BPF_F_TEST_SKB_CHECKSUM_COMPLETE of Linux 6.17: the packet of a test run has a sum of all its bytes, as some NICs compute it (CHECKSUM_COMPLETE),
// and the run fails with EBADMSG if the program leaves another sum than that of the packet's bytes.
const testChecksumComplete = 1 << 2

// Whatever the programs take off, put on or leave alone, a sum of all bytes stays that of the packet.
func TestChecksumCompleteStaysRight(t *testing.T) {
	b := newShortcutBench(t)
	for _, c := range []struct {
		program *ebpf.Program
		rows    map[string]shortcutRow
	}{{b.objects.FalconIn, inRows()}, {b.objects.FalconOut, outRows()}} {
		taken := 0
		for name, r := range c.rows {
			if r.context.GSOSegs > 0 {
				continue // no NIC sums datagrams up that it has merged
			}
			context := r.context
			_, err := c.program.Run(&ebpf.RunOptions{Data: r.frame.bytes, DataOut: make([]byte, len(r.frame.bytes)+256), Context: &context, Flags: testChecksumComplete})
			if errors.Is(err, unix.EBADMSG) {
				t.Errorf("%s: the sum is of other bytes", name)
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r.way == "in" || r.way == "out" {
				taken++
			}
		}
		if taken < 8 {
			t.Errorf("only %d packets took the shortcut", taken)
		}
	}
}

// summed counts the packets that come in at a device with a sum of all their bytes. The helper changes nothing and refuses packets that have none.
func summed(t *testing.T, s *space, device int) func() uint64 {
	t.Helper()
	counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { counter.Close() })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R2, 0),
		asm.FnCsumUpdate.Call(),
		asm.JSLT.Imm(asm.R0, 0, "out"),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counter.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, goOn).WithSymbol("out"),
		asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	var l ebpflink.Link
	err = s.in(func() (err error) {
		l, err = ebpflink.AttachTCX(ebpflink.TCXOptions{Interface: device, Program: program, Attach: ebpf.AttachTCXIngress, Anchor: ebpflink.Head()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() (n uint64) {
		t.Helper()
		if err := counter.Lookup(uint32(0), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// bridgeUnderlay makes a host's underlay device a bridge, with the wire at a port of it, as hosts of virtual machines have it.
func bridgeUnderlay(h *labHost, prefix string) {
	h.t.Helper()
	for _, command := range []string{
		"link set u0 down", "link set u0 name wire", "link add u0 mtu 1600 type bridge mcast_snooping 0", "link set wire master u0",
		"addr flush dev wire", "link set wire up", "addr add " + prefix + " dev u0 nodad", "link set u0 up",
	} {
		h.ip("%s", command)
	}
	h.waitUp("u0")
}

// A packet whose checksum conntrack has computed at the underlay's bridge has a sum of all its bytes from then on, as if the NIC had summed it
// up. It takes the shortcut with it, and the container finds the sum right.
func TestChecksumCompleteOfAnUnderlay(t *testing.T) {
	a, b := twoHosts(t, "ipv6") // where outer headers have a checksum, which conntrack looks at
	bridgeUnderlay(b, fmt.Sprintf(underlays["ipv6"], 2))
	b.sh("sysctl -w net.bridge.bridge-nf-call-ip6tables=1")
	b.sh("nft add table inet people")
	b.sh("nft add chain inet people pre { type filter hook prerouting priority 0 ; }")
	b.sh("nft add rule inet people pre ct state invalid drop")
	a.sh("ethtool -K u0 tx off") // or else the other end believes what was sent
	b.shortcut = true
	b.ensureHost() // takes the overlay out of that
	o := overlayOf(a, b, true)
	at, inside := summed(t, b.space, b.device("u0")), summed(t, o.cb.space, o.cb.device("eth0"))
	talk(t, o.ca, o.cb)
	if at() < 100 || inside() < 100 || b.way("in") < 100 {
		t.Errorf("%d packets had a sum, %d of them in the container; the shortcut took %d", at(), inside(), b.way("in"))
	}
	for _, name := range []string{"TcpInCsumErrors", "UdpInCsumErrors", "Icmp6InCsumErrors"} {
		if says := o.cb.sh("nstat -asz %s", name); strings.Fields(says[strings.Index(says, name):])[1] != "0" {
			t.Error(says)
		}
	}
}
