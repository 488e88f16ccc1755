package ipam

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sirupsen/logrus"

	"falcon/store"
)

// poolIDWant describes a PoolID in errors.
const poolIDWant = "SCOPE#SUBNET or SCOPE#SUBNET#RANGE, as RequestPool returns it"

// poolKey names one pool of the store.
type poolKey struct {
	scope  string
	prefix netip.Prefix
}

func keyOf(pool store.Pool) poolKey { return poolKey{pool.Scope, pool.Prefix} }

func (k poolKey) pool() string { return store.PoolKey(k.scope, k.prefix) }

// logFields names the pool in the log.
func (k poolKey) logFields() logrus.Fields {
	return logrus.Fields{"scope": k.scope, "subnet": k.prefix.String()}
}

func (k poolKey) address(a netip.Addr) string { return store.AddressKey(k.scope, k.prefix, a) }

// addresses is the prefix of the keys of all the pool's addresses.
func (k poolKey) addresses() string {
	return store.AddressesPrefix + k.scope + "/" + k.prefix.String() + "/"
}

// PoolID is what Docker holds of a pool: it says everything that is needed to make the pool again. As a
// string it is "scope#subnet", or "scope#subnet#range" where addresses are to come from a part of the subnet
// (--ip-range): "web#10.1.0.0/24#10.1.0.128/25".
type PoolID struct {
	Scope  string
	Prefix netip.Prefix
	Range  netip.Prefix // zero: all of Prefix
}

func (id PoolID) key() poolKey { return poolKey{id.Scope, id.Prefix} }

func (id PoolID) String() string {
	s := id.Scope + "#" + id.Prefix.String()
	if id.Range.IsValid() {
		s += "#" + id.Range.String()
	}
	return s
}

// block is what addresses are given from.
func (id PoolID) block() (block, bool) {
	if id.Range.IsValid() {
		return hosts(id.Prefix, id.Range)
	}
	return hosts(id.Prefix, id.Prefix)
}

// ParsePoolID is the inverse of String: it accepts nothing that String does not produce. Its error is an
// *InputError.
func ParsePoolID(s string) (PoolID, error) {
	id, err := parsePoolID(s)
	if err == nil && id.String() != s {
		err = fmt.Errorf("is not in canonical form, %s", id)
	}
	if err != nil {
		return PoolID{}, &InputError{"PoolID", s, poolIDWant, err}
	}
	return id, nil
}

func parsePoolID(s string) (PoolID, error) {
	parts := strings.Split(s, "#")
	if len(parts) != 2 && len(parts) != 3 {
		return PoolID{}, fmt.Errorf("has %d parts", len(parts))
	}
	id := PoolID{Scope: parts[0]}
	if !isScope(id.Scope) {
		return PoolID{}, fmt.Errorf("scope %q is malformed", id.Scope)
	}
	var err error
	if id.Prefix, err = parsePrefix(parts[1]); err != nil {
		return PoolID{}, err
	}
	if len(parts) == 3 {
		id.Range, err = parseRange(parts[2], id.Prefix)
	}
	return id, err
}
