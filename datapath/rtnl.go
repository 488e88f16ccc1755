package datapath

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// rtnlTimeout bounds one request. The kernel's RTNL lock can be held for seconds while namespaces are
	// torn down; longer than this, something is stuck, and so would be Docker, which waits for us.
	rtnlTimeout = 10 * time.Second
	// dumpAttempts: a dump is interrupted only if a device or entry changed during its few milliseconds.
	dumpAttempts = 5
)

// rtnl is a pair of routing netlink sockets in one network namespace. The embedded library handle serves
// addresses, routes and tc. Links and neighbours go through our own socket, because the library sends one
// request per attribute, cannot write the attributes of a bridge port together, and dumps all devices'
// entries where the kernel would filter.
type rtnl struct {
	*netlink.Handle
	sockets map[int]*nl.SocketHandle
}

func openRTNL(ns netns.NsHandle) (*rtnl, error) {
	var r *rtnl
	err := inNetns(ns, func() (err error) {
		r, err = newRTNL()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return r, nil
}

// newRTNL opens both sockets in the calling thread's namespace.
func newRTNL() (*rtnl, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return nil, err
	}
	r := &rtnl{Handle: h, sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}
	if err := r.configure(s); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *rtnl) configure(s *nl.NetlinkSocket) error {
	tv := unix.NsecToTimeval(rtnlTimeout.Nanoseconds())
	// Strict checking (kernel 4.20) makes the kernel honour, rather than ignore, the filters of a dump.
	strict := unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return errors.Join(strict, s.SetExtAck(true), s.SetSendTimeout(&tv), s.SetReceiveTimeout(&tv),
		r.SetSocketTimeout(rtnlTimeout))
}

// Close releases both sockets.
func (r *rtnl) Close() {
	r.Handle.Close()
	for _, s := range r.sockets {
		s.Close()
	}
}

func (r *rtnl) request(typ, flags int, data []nl.NetlinkRequestData) *nl.NetlinkRequest {
	return &nl.NetlinkRequest{
		NlMsghdr: unix.NlMsghdr{
			Len:   unix.SizeofNlMsghdr,
			Type:  uint16(typ),
			Flags: uint16(unix.NLM_F_REQUEST | flags),
		},
		Data:    data,
		Sockets: r.sockets,
	}
}

// change sends a request that alters something and waits for its acknowledgement.
func (r *rtnl) change(ctx context.Context, typ, flags int, data ...nl.NetlinkRequestData) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := r.request(typ, flags|unix.NLM_F_ACK, data).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// get asks for one object.
func (r *rtnl) get(ctx context.Context, typ int, data ...nl.NetlinkRequestData) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	msgs, err := r.request(typ, 0, data).Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 {
		return nil, fmt.Errorf("kernel sent %d messages instead of one", len(msgs))
	}
	return msgs[0], nil
}

// dump lists objects.
func (r *rtnl) dump(ctx context.Context, typ int, data ...nl.NetlinkRequestData) ([][]byte, error) {
	return uninterrupted(ctx, func() ([][]byte, error) {
		return r.request(typ, unix.NLM_F_DUMP, data).Execute(unix.NETLINK_ROUTE, 0)
	})
}

// uninterrupted repeats a listing that the kernel marks as inconsistent, and gives ErrInterrupted rather
// than a list that may lack something: what is missing from it would be taken for stale or lost.
func uninterrupted[T any](ctx context.Context, list func() (T, error)) (T, error) {
	var none T
	for range dumpAttempts {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		got, err := list()
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return none, err
		}
	}
	return none, fmt.Errorf("%w %d times in a row", ErrInterrupted, dumpAttempts)
}

// attrs is a list of netlink attributes as it came. It is searched where it lies, which beats building a map for
// the few out of fifty of a link that are looked at.
type attrs []byte

// get gives an attribute's value, nil if it is not there. The flag bits of types are ignored.
func (a attrs) get(typ uint16) []byte {
	native := nl.NativeEndian()
	for len(a) >= unix.SizeofRtAttr {
		size := int(native.Uint16(a))
		if size < unix.SizeofRtAttr || size > len(a) {
			return nil // malformed, and so is all that follows
		}
		if native.Uint16(a[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == typ {
			return a[unix.SizeofRtAttr:size:size]
		}
		a = a[min((size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(a)):]
	}
	return nil
}

// nested gives the list inside an attribute; an absent one is an empty list.
func (a attrs) nested(typ uint16) attrs { return a.get(typ) }

func (a attrs) str(typ uint16) string {
	v := a.get(typ)
	if i := slices.Index(v, 0); i >= 0 {
		v = v[:i]
	}
	return string(v)
}

func (a attrs) u32(typ uint16) uint32 {
	if v := a.get(typ); len(v) >= 4 {
		return nl.NativeEndian().Uint32(v)
	}
	return 0
}

func (a attrs) flag(typ uint16) bool {
	v := a.get(typ)
	return len(v) > 0 && v[0] != 0
}

func flagAttr(on bool) []byte {
	if on {
		return []byte{1}
	}
	return []byte{0}
}
