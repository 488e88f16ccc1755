package datapath

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Where net.bridge.bridge-nf-call-iptables is set, as Docker sets it, the host's netfilter sees what its bridges
// forward, as packets from the bridge device to itself. Two things follow, and EnsureHost answers both:
//
//   - Docker's FORWARD policy is DROP, which would drop all traffic between the containers of a host and the
//     VXLAN port. So one rule at the top of FORWARD accepts it. A table of our own could not: in nftables an
//     accept ends one base chain only, and the next may still drop.
//   - Connection tracking would cost every packet, and confuse networks with overlapping subnets. The host's NAT
//     rules would apply: a container that sends to a published port of the host by way of the overlay would be
//     redirected out of it. So overlay packets are not tracked, and packets that are not tracked are not NATed.
//
// Listings of nftables can be interrupted by a change, and the library does not say so. What that can do here is
// one rule too many, which the next run removes.

const (
	ownTable = "falcon"
	ownChain = "overlay"
)

// forwardChains are iptables-nft's, in both families.
func forwardChains() []*nftables.Chain {
	chain := func(family nftables.TableFamily) *nftables.Chain {
		return &nftables.Chain{Name: "FORWARD", Table: &nftables.Table{Name: "filter", Family: family}}
	}
	return []*nftables.Chain{chain(nftables.TableFamilyIPv4), chain(nftables.TableFamilyIPv6)}
}

// EnsureHost makes the host's netfilter let the overlay through. An error leaves the overlay working where the
// host does not filter bridged frames; ErrLegacyTables says that a person has to do something.
func (d *Datapath) EnsureHost(ctx context.Context) (Change, error) {
	var c Change
	var errs []error
	for _, step := range []func(*nftables.Conn) (bool, error){ensureForward, ensureNoTrack} {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		done, err := step(d.nft())
		if done {
			c.Added++
		}
		errs = append(errs, err)
	}
	errs = append(errs, d.inHost(ctx, checkLegacyTables))
	return c, errors.Join(errs...)
}

// RemoveHost takes back EnsureHost.
func (d *Datapath) RemoveHost(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(removeForward(d.nft()), removeNoTrack(d.nft()))
}

// nft gives a connection that collects changes and makes them in one transaction. It holds nothing open.
func (d *Datapath) nft() *nftables.Conn {
	c := &nftables.Conn{}
	if d.netns.IsOpen() {
		c.NetNS = int(d.netns)
	}
	return c
}

// ensureForward puts our rule first in each FORWARD chain that there is, and takes away copies of it.
func ensureForward(c *nftables.Conn) (changed bool, err error) {
	for _, chain := range forwardChains() {
		rules, err := chainRules(c, chain)
		if errors.Is(err, errNoChain) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look for rules of %s: %w", chain.Name, err)
		}
		keep := 0
		if len(rules) > 0 && same(rules[0], acceptOverlay()) {
			keep = 1
		} else {
			c.InsertRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: acceptOverlay()})
			changed = true
		}
		if err := deleteSame(c, rules[keep:], acceptOverlay()); err != nil {
			return false, err
		}
	}
	if err := c.Flush(); err != nil {
		return false, fmt.Errorf("accept overlay in FORWARD: %w", err)
	}
	return changed, nil
}

func removeForward(c *nftables.Conn) error {
	for _, chain := range forwardChains() {
		rules, err := chainRules(c, chain)
		if errors.Is(err, errNoChain) {
			continue
		}
		if err == nil {
			err = deleteSame(c, rules, acceptOverlay())
		}
		if err != nil {
			return fmt.Errorf("remove rule from %s: %w", chain.Name, err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove rule from FORWARD: %w", err)
	}
	return nil
}

// ensureNoTrack makes our own table, or makes it anew if it is not as it should be.
func ensureNoTrack(c *nftables.Conn) (changed bool, err error) {
	chain := noTrackChain()
	rules, err := chainRules(c, chain)
	if err == nil && len(rules) == 1 && same(rules[0], noTrackOverlay()) {
		return false, nil
	}
	if err != nil && !errors.Is(err, errNoChain) {
		return false, fmt.Errorf("look for table %s: %w", ownTable, err)
	}
	// Added first, so that there is one to delete.
	c.AddTable(chain.Table)
	c.DelTable(chain.Table)
	c.AddTable(chain.Table)
	c.AddChain(chain)
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: noTrackOverlay()})
	if err := c.Flush(); err != nil {
		return false, fmt.Errorf("make table %s: %w", ownTable, err)
	}
	return true, nil
}

func removeNoTrack(c *nftables.Conn) error {
	table := noTrackChain().Table
	c.AddTable(table)
	c.DelTable(table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", ownTable, err)
	}
	return nil
}

func noTrackChain() *nftables.Chain {
	return &nftables.Chain{
		Name:     ownChain,
		Table:    &nftables.Table{Name: ownTable, Family: nftables.TableFamilyINet},
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw, // before connection tracking
	}
}

// acceptOverlay is what iptables-nft makes of `-i fbr-+ -o fbr-+ -j ACCEPT`, expression for expression, so that
// iptables, which Docker calls, can read the chain and shows the rule as this.
func acceptOverlay() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(bridgePrefix)},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(bridgePrefix)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func noTrackOverlay() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(bridgePrefix)},
		&expr.Notrack{},
	}
}

var errNoChain = errors.New("no such chain")

// chainRules lists a chain's rules; errNoChain if there is no such chain.
func chainRules(c *nftables.Conn, chain *nftables.Chain) ([]*nftables.Rule, error) {
	chains, err := c.ListChainsOfTableFamily(chain.Table.Family)
	if err != nil {
		return nil, err
	}
	for _, have := range chains {
		if have.Name == chain.Name && have.Table.Name == chain.Table.Name {
			return c.GetRules(chain.Table, chain)
		}
	}
	return nil, errNoChain
}

// same compares all but what has been counted.
func same(rule *nftables.Rule, want []expr.Any) bool {
	if len(rule.Exprs) != len(want) {
		return false
	}
	for i, e := range rule.Exprs {
		if _, ok := e.(*expr.Counter); ok {
			e = &expr.Counter{}
		}
		if !reflect.DeepEqual(e, want[i]) {
			return false
		}
	}
	return true
}

func deleteSame(c *nftables.Conn, rules []*nftables.Rule, as []expr.Any) error {
	for _, r := range rules {
		if !same(r, as) {
			continue
		}
		if err := c.DelRule(r); err != nil {
			return err
		}
	}
	return nil
}
