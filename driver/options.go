package driver

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/datapath"
)

// Keys of network options.
const (
	keyGeneric  = "com.docker.network.generic"
	keyInternal = "com.docker.network.internal"
	keyMTU      = "com.docker.network.driver.mtu"
	keyNetwork  = "falcon.network"
	keyVNI      = "falcon.vni"
	keySteering = "falcon.steering"
	keyShortcut = "falcon.shortcut"
	keyAllowed  = "falcon.allowed-addresses"
)

// Limits of the container's MTU in bytes: what IPv4 (RFC 791) and IPv6 (RFC 8200, section 5) ask of a link.
const (
	minMTUv4 = 68
	minMTUv6 = 1280
)

// Values of shortcut.
const (
	ShortcutOff = "off"
	ShortcutOn  = "on"
)

// Values of steering and shortcut, of the daemon's flags and of a network's options alike.
var (
	SteeringModes = datapath.Modes()
	ShortcutModes = []string{ShortcutOn, ShortcutOff}
)

// NetworkNames is what a falcon.network may look like: it becomes part of keys and of device tags.
var NetworkNames = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

// request is a CreateNetwork, understood and checked as far as it can be without the host and the store.
type request struct {
	dockerID string
	name     string       // falcon.network, or the Docker network's ID
	vni      datapath.VNI // 0: to be allocated
	mtu      int          // 0: from the underlay
	internal bool
	subnets  []netip.Prefix
	space    string // address space of the IPAM driver that gave the subnets
	steering string
	shortcut string
	allowed  []netip.Prefix
}

// optionError says which option cannot be taken, and what could.
func optionError(key, value, allowed string) error {
	return fmt.Errorf("option %s=%q: %s", key, value, allowed)
}

// parseRequest turns what Docker sends into a request.
func parseRequest(req *network.CreateNetworkRequest) (request, error) {
	if req.NetworkID == "" {
		return request{}, fmt.Errorf("create network: no network ID")
	}
	r := request{dockerID: req.NetworkID, name: req.NetworkID}
	r.internal = isTrue(req.Options[keyInternal])
	options, err := genericOptions(req.Options)
	if err != nil {
		return request{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if err := r.option(key, options[key]); err != nil {
			return request{}, err
		}
	}
	if err := r.takeSubnets(req); err != nil {
		return request{}, err
	}
	return r, r.checkMTUFamily()
}

// genericOptions returns the options that the user gave with -o. Docker sends them below one key; their values are
// strings there, but nothing keeps another client from sending something else.
func genericOptions(options map[string]any) (map[string]string, error) {
	given := map[string]string{}
	switch generic := options[keyGeneric].(type) {
	case nil:
	case map[string]any:
		for key, value := range generic {
			switch value.(type) {
			case string, bool, float64:
				given[key] = fmt.Sprint(value)
			default:
				return nil, optionError(key, fmt.Sprint(value), "must be a string")
			}
		}
	default:
		return nil, optionError(keyGeneric, fmt.Sprint(generic), "must be a map of options")
	}
	return given, nil
}

func (r *request) option(key, value string) error {
	switch key {
	case keyMTU:
		return parseNumber(key, value, minMTUv4, math.MaxUint16, &r.mtu)
	case keyVNI:
		var n int
		err := parseNumber(key, value, 1, int(datapath.MaxVNI), &n)
		r.vni = datapath.VNI(n)
		return err
	case keyNetwork:
		if !NetworkNames.MatchString(value) {
			return optionError(key, value, "must be 1 to 64 letters, digits, '_', '.' or '-', beginning with a letter or digit")
		}
		r.name = value
	case keySteering:
		r.steering = value
		return checkOneOf(key, value, SteeringModes)
	case keyShortcut:
		r.shortcut = value
		return checkOneOf(key, value, ShortcutModes)
	case keyAllowed:
		return parsePrefixes(key, value, &r.allowed)
	default:
		if strings.HasPrefix(key, "falcon.") {
			return fmt.Errorf("option %s=%q is unknown: falcon knows %s", key, value,
				strings.Join([]string{keyNetwork, keyVNI, keySteering, keyShortcut, keyAllowed, keyMTU}, ", "))
		}
	}
	return nil
}

func parseNumber(key, value string, low, high int, into *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return optionError(key, value, fmt.Sprintf("must be a number from %d to %d", low, high))
	}
	*into = n
	return nil
}

// parsePrefixes reads addresses and prefixes with commas between.
func parsePrefixes(key, value string, into *[]netip.Prefix) error {
	for _, text := range strings.Split(value, ",") {
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return optionError(key, value, "must be addresses or prefixes such as 10.0.0.100,fd00::/64")
		}
		*into = append(*into, p.Masked())
	}
	return nil
}

func checkOneOf(key, value string, allowed []string) error {
	if !slices.Contains(allowed, value) {
		return optionError(key, value, "must be one of "+strings.Join(allowed, ", "))
	}
	return nil
}

// takeSubnets collects the network's subnets, which must not overlap: a container could not tell which of its
// routes leads where.
func (r *request) takeSubnets(req *network.CreateNetworkRequest) error {
	for _, data := range slices.Concat(req.IPv4Data, req.IPv6Data) {
		if data == nil || data.Pool == "" {
			continue
		}
		subnet, err := netip.ParsePrefix(data.Pool)
		if err != nil {
			return fmt.Errorf("subnet %q: must be in CIDR notation, such as 10.1.0.0/24", data.Pool)
		}
		if subnet.Addr() == netip.IPv4Unspecified() && subnet.Bits() == 0 {
			continue // the pool of Docker's null IPAM driver
		}
		subnet = subnet.Masked()
		for _, other := range r.subnets {
			if subnet.Overlaps(other) {
				return fmt.Errorf("subnet %s overlaps subnet %s of the same network: give subnets that do not", subnet, other)
			}
		}
		r.subnets = append(r.subnets, subnet)
		r.space = data.AddressSpace
	}
	return nil
}

func (r *request) checkMTUFamily() error {
	if r.mtu != 0 && r.mtu < minMTUv6 && slices.ContainsFunc(r.subnets, isIPv6) {
		return optionError(keyMTU, strconv.Itoa(r.mtu), fmt.Sprintf("must be at least %d in a network with IPv6 (RFC 8200)", minMTUv6))
	}
	return nil
}

func isIPv6(p netip.Prefix) bool { return p.Addr().Is6() }

// isTrue reads a flag that engines send as a boolean or as a string.
func isTrue(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case string:
		b, err := strconv.ParseBool(v)
		return err == nil && b
	}
	return false
}
