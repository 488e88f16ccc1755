package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrInput is matched by every *InputError.
var ErrInput = errors.New("bad input")

// InputError says which part of a request was wrong, and what is allowed there.
type InputError struct {
	Key   string
	Value string
	Want  string // what is allowed
	Cause error  // what is wrong with this value; may be nil
}

func (e *InputError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("read %s %q: want %s", e.Key, e.Value, e.Want)
	}
	return fmt.Sprintf("read %s %q: %v: want %s", e.Key, e.Value, e.Cause, e.Want)
}

// Is makes errors.Is(err, ErrInput) true.
func (e *InputError) Is(target error) bool { return target == ErrInput }

func (e *InputError) Unwrap() error { return e.Cause }

// parsePrefix reads a subnet. It must be one that hosts can have addresses in, with all host bits zero.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is no subnet in CIDR notation")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("is an IPv4 subnet in IPv6 form")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has host bits set, the subnet is %s", p.Masked())
	case p.Addr().IsUnspecified():
		return netip.Prefix{}, errors.New("is unspecified")
	case p.Addr().IsMulticast():
		return netip.Prefix{}, errors.New("is multicast")
	}
	return p, nil
}

// parseRange reads a part of the subnet prefix. A range that is all of it comes back as the zero Prefix.
func parseRange(s string, prefix netip.Prefix) (netip.Prefix, error) {
	r, err := parsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, err
	case r == prefix:
		return netip.Prefix{}, nil
	case r.Bits() < prefix.Bits() || !prefix.Contains(r.Addr()):
		return netip.Prefix{}, fmt.Errorf("is not within %s", prefix)
	}
	if _, ok := hosts(prefix, r); !ok {
		return netip.Prefix{}, fmt.Errorf("has no host address of %s", prefix)
	}
	return r, nil
}

// parseAddress reads an address. The empty string is the zero Addr.
func parseAddress(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, &InputError{"Address", s, "an IP address", nil}
	}
	return a.Unmap(), nil
}

// checkAddress returns an *InputError unless a host of the subnet may have the address.
func checkAddress(a netip.Addr, subnet netip.Prefix) error {
	var cause error
	switch {
	case !subnet.Contains(a):
		cause = errors.New("is outside the subnet")
	case !isHost(subnet, a):
		cause = errors.New("is the address of the subnet itself or its broadcast address")
	default:
		return nil
	}
	return &InputError{"Address", a.String(), "a host address of " + subnet.String(), cause}
}
