package datapath

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A tag is the alias (IFLA_IFALIAS) of a device of ours. It is what tells our devices from others', what a
// restarted process recognises them by, and what an administrator reads in `ip -d link`:
//
//	falcon network=blue vni=42
//	falcon endpoint=<64 hex digits> network=blue vni=42 mac=02:42:0a:00:00:02
//
// The first is on bridges and VXLAN devices, the second on both ends of a veth.
type tag struct {
	network  string
	vni      VNI
	endpoint string // empty on a network's devices
	mac      MAC    // of the container's end
}

const (
	tagPrefix = "falcon "
	// tagMax is what the kernel stores (IFALIASZ is 256 with the terminator).
	tagMax = unix.IFNAMSIZ*16 - 1
)

func (t tag) String() string {
	s := fmt.Sprintf("network=%s vni=%d", url.PathEscape(t.network), t.vni)
	if t.endpoint != "" {
		s = fmt.Sprintf("endpoint=%s %s mac=%s", url.PathEscape(t.endpoint), s, t.mac)
	}
	return tagPrefix + s
}

// encode gives the alias, or an error for a name that does not fit into one. Cut off, it would be the tag
// of another network.
func (t tag) encode() (string, error) {
	s := t.String()
	if len(s) > tagMax {
		return "", fmt.Errorf("tag devices of network %q: name is too long by %d bytes", t.network, len(s)-tagMax)
	}
	return s, nil
}

// parseTag reads an alias; ok is false for anything that String would not have written. Fields that it does
// not know are skipped, so that a later version can add some and be downgraded.
func parseTag(alias string) (t tag, ok bool) {
	rest, ok := strings.CutPrefix(alias, tagPrefix)
	if !ok {
		return tag{}, false
	}
	for field := range strings.FieldsSeq(rest) {
		key, value, ok := strings.Cut(field, "=")
		if !ok || !t.set(key, value) {
			return tag{}, false
		}
	}
	return t, t.network != "" && t.vni != 0 && (t.endpoint == "") == t.mac.IsZero()
}

func (t *tag) set(key, value string) bool {
	var err error
	switch key {
	case "network":
		t.network, err = url.PathUnescape(value)
	case "endpoint":
		t.endpoint, err = url.PathUnescape(value)
	case "vni":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 24)
		t.vni = VNI(n)
	case "mac":
		t.mac, err = ParseMAC(value)
	}
	return err == nil
}
