package ipam

import (
	"fmt"
	"strings"
)

// Address spaces, as Docker knows them: networks of one engine, and networks of a swarm.
const (
	LocalSpace  = "falcon-local"
	GlobalSpace = "falcon-global"
)

// A scope is a set of pools that do not overlap. Those that users name are shared by all hosts that give
// the same name; the others begin with a character that no name has.
const (
	anonymousMark = "@"                      // "@" and a host: the pools of that host without a name
	globalScope   = anonymousMark + "global" // the pools of a swarm, which its managers share with its hosts
	// everyScope has no pools: its key guards the choice of a default subnet, which looks at all scopes.
	everyScope = anonymousMark
)

// OptionNetwork is the IPAM option with the cluster-wide name of the network.
const OptionNetwork = "falcon.network"

// optionPrefix begins the options that are ours to know.
const optionPrefix = "falcon."

// maxName is the longest name, in bytes. The ID of a Docker network, 64 hexadecimal digits, fits.
const maxName = 64

// NameWant describes what ValidName accepts, for errors.
const NameWant = "1 to 64 letters, digits, dots, dashes and underscores, the first one a letter or digit"

// ValidName tells whether s may name a network, a scope or a host: [a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}.
func ValidName(s string) bool {
	if s == "" || len(s) > maxName || strings.IndexByte("_.-", s[0]) >= 0 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }) < 0
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r == '_' || r == '.' || r == '-'
}

// isScope tells whether s is well-formed as the scope of a pool.
func isScope(s string) bool { return ValidName(strings.TrimPrefix(s, anonymousMark)) }

// isNamed tells whether a scope is one that users named.
func isNamed(scope string) bool { return !strings.HasPrefix(scope, anonymousMark) }

// isShared tells whether a scope's pools are for several hosts.
func isShared(scope string) bool { return isNamed(scope) || scope == globalScope }

// IsOurs tells whether Docker got a subnet's addresses from this driver.
func IsOurs(addressSpace string) bool {
	return addressSpace == LocalSpace || addressSpace == GlobalSpace
}

// anonymousScope is the scope of the pools without a name that this host requests in an address space. Its
// error is an *InputError.
func (p *Pools) anonymousScope(addressSpace string) (string, error) {
	switch addressSpace {
	case LocalSpace:
		return anonymousMark + p.host, nil
	case GlobalSpace:
		return globalScope, nil
	}
	return "", &InputError{"AddressSpace", addressSpace, LocalSpace + " or " + GlobalSpace, nil}
}

// parseOptions returns the cluster-wide name in IPAM options, or "" where there is none. Options that are
// not falcon's are ignored: engines add their own. Its error is an *InputError.
func parseOptions(options map[string]string) (string, error) {
	for key, value := range options {
		if strings.HasPrefix(key, optionPrefix) && key != OptionNetwork {
			return "", &InputError{"IPAM option " + key, value, "only " + OptionNetwork,
				fmt.Errorf("option is unknown")}
		}
	}
	name, given := options[OptionNetwork]
	if given && !ValidName(name) {
		return "", &InputError{"IPAM option " + OptionNetwork, name, NameWant, nil}
	}
	return name, nil
}
