package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rules of iptables-legacy live in the kernel beside nftables, and both must accept a packet. They are replaced
// as a whole table, which no two programs can do safely at a time, so we only look whether they are in the way.

// legacyFamily is one of the two kinds of legacy tables (linux/netfilter_ipv4/ip_tables.h and ip6_tables.h).
type legacyFamily struct {
	names   string // file that lists the tables that exist
	sysctl  string // whether bridged frames meet them
	domain  int
	level   int
	command string
	ipSize  int // struct ipt_entry or ip6t_entry, where the matches begin
}

func legacyFamilies() []legacyFamily {
	return []legacyFamily{
		{"ip_tables_names", "bridge-nf-call-iptables", unix.AF_INET, unix.SOL_IP, "iptables-legacy", 112},
		{"ip6_tables_names", "bridge-nf-call-ip6tables", unix.AF_INET6, unix.SOL_IPV6, "ip6tables-legacy", 168},
	}
}

// checkLegacyTables looks at the calling thread's namespace and gives ErrLegacyTables with what to do.
func checkLegacyTables() error {
	var errs []error
	for _, f := range legacyFamilies() {
		blocked, err := f.blocks()
		if err != nil {
			errs = append(errs, fmt.Errorf("read rules of %s: %w", f.command, err))
		}
		if blocked {
			errs = append(errs, fmt.Errorf("%w: run: %s -I FORWARD -i %s+ -o %s+ -j ACCEPT",
				ErrLegacyTables, f.command, bridgePrefix, bridgePrefix))
		}
	}
	return errors.Join(errs...)
}

// blocks tells whether the family's FORWARD chain may drop overlay packets.
func (f legacyFamily) blocks() (bool, error) {
	// Absent without br_netfilter, and then no bridged frame comes by.
	bridged, err := os.ReadFile("/proc/sys/net/bridge/" + f.sysctl)
	if err != nil || strings.TrimSpace(string(bridged)) == "0" {
		return false, nil
	}
	// Asking the kernel for a table makes it, so ask only for what is there.
	tables, err := os.ReadFile("/proc/thread-self/net/" + f.names)
	if err != nil || !slices.Contains(strings.Fields(string(tables)), "filter") {
		return false, nil
	}
	t, err := f.read()
	if err != nil {
		return false, err
	}
	return !t.acceptsAll(f.ipSize) && !t.mentionsOverlay(), nil
}

// legacyInfo is struct ipt_getinfo, which struct ip6t_getinfo equals.
type legacyInfo struct {
	name       [32]byte
	hooks      uint32
	hookEntry  [5]uint32
	underflow  [5]uint32
	numEntries uint32
	size       uint32
}

// Options of linux/netfilter_ipv4/ip_tables.h: IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; the same numbers with IPv6.
const (
	optGetInfo    = 64
	optGetEntries = 65
	hookForward   = 2
	// entriesHead is what precedes the rules in struct ipt_get_entries: name, size, alignment.
	entriesHead = 40
	nfAccept    = 1
)

// legacyTable is a filter table: its FORWARD chain begins at start and ends with the policy, at policy.
type legacyTable struct {
	rules         []byte
	start, policy uint32
}

func (f legacyFamily) read() (legacyTable, error) {
	fd, err := unix.Socket(f.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return legacyTable{}, err
	}
	defer unix.Close(fd)
	info := legacyInfo{}
	copy(info.name[:], "filter")
	if err := getsockopt(fd, f.level, optGetInfo, unsafe.Pointer(&info), unsafe.Sizeof(info)); err != nil {
		return legacyTable{}, err
	}
	b := make([]byte, entriesHead+int(info.size))
	copy(b, "filter")
	nl.NativeEndian().PutUint32(b[32:], info.size)
	// EAGAIN: the table has changed in between; the next run will see it.
	if err := getsockopt(fd, f.level, optGetEntries, unsafe.Pointer(&b[0]), uintptr(len(b))); err != nil {
		return legacyTable{}, err
	}
	return legacyTable{b[entriesHead:], info.hookEntry[hookForward], info.underflow[hookForward]}, nil
}

func getsockopt(fd, level, opt int, p unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// acceptsAll: FORWARD has no rules, and its policy (struct xt_standard_target, the verdict after 32 bytes) is
// NF_ACCEPT, which is encoded as -NF_ACCEPT-1.
func (t legacyTable) acceptsAll(ipSize int) bool {
	verdict := int(t.policy) + ipSize + 32
	return t.start == t.policy && verdict+4 <= len(t.rules) &&
		int32(nl.NativeEndian().Uint32(t.rules[verdict:])) == -nfAccept-1
}

// mentionsOverlay: FORWARD has a rule for our bridges. Both families have the interfaces in one place of 64
// bytes: name in, name out, and the masks of both, which leave out the "+" that iptables keeps in the name.
func (t legacyTable) mentionsOverlay() bool {
	var want [4 * unix.IFNAMSIZ]byte
	for i := range 2 {
		copy(want[i*unix.IFNAMSIZ:], bridgePrefix+"+")
		copy(want[(2+i)*unix.IFNAMSIZ:], bytes.Repeat([]byte{0xff}, len(bridgePrefix)))
	}
	return t.start < t.policy && int(t.policy) <= len(t.rules) && bytes.Contains(t.rules[t.start:t.policy], want[:])
}
