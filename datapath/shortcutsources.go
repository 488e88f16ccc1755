package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// falcon_in checks the senders of what comes in at the underlay's device. A VXLAN packet may come in at another one, in earnest where
// an address of the host is reached by several, or from somebody who can send to it there. For these a table of our own has the same
// check, at the input hook, to which whole datagrams come:
//
//	table inet falcon-sources {
//		set hosts4-42 { type ipv4_addr; elements = { 192.0.2.1 } }
//		set hosts6-42 { type ipv6_addr }
//		chain input {
//			type filter hook input priority filter; policy accept;
//			iif "eth0" accept
//			udp dport 4789 @th,96,24 42 jump network-42
//		}
//		chain network-42 {
//			ip saddr @hosts4-42 accept
//			ip6 saddr @hosts6-42 accept
//			counter drop
//		}
//	}
//
// Its parts are such that nft reads what it lists: people save a host's rules and load them again.
const (
	sourceTable = "falcon-sources"
	sourceChain = "input"
)

// source is a host that may send for a network.
type source struct {
	vni  VNI
	host netip.Addr
}

// sources is what the table has. Chain and rules can be looked at; of the sets it is remembered.
type sources struct {
	device int // of the underlay
	hosts  map[source]struct{}
	seen   time.Time // when chain and rules were last found to be whole
}

// sourcesLook bounds how often they are looked at: a pass settles all networks one after the other.
const sourcesLook = 5 * time.Second

func sourcesTable() *nftables.Table {
	return &nftables.Table{Name: sourceTable, Family: nftables.TableFamilyINet}
}

func sourcesChain() *nftables.Chain {
	return &nftables.Chain{
		Name: sourceChain, Table: sourcesTable(),
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	}
}

// networkChain judges what is for a network.
func networkChain(vni VNI) *nftables.Chain {
	return &nftables.Chain{Name: fmt.Sprintf("network-%d", vni), Table: sourcesTable()}
}

// hostSets have a network's hosts.
func hostSets(vni VNI) (ipv4, ipv6 *nftables.Set) {
	return &nftables.Set{Table: sourcesTable(), Name: fmt.Sprintf("hosts4-%d", vni), KeyType: nftables.TypeIPAddr},
		&nftables.Set{Table: sourcesTable(), Name: fmt.Sprintf("hosts6-%d", vni), KeyType: nftables.TypeIP6Addr}
}

// Offsets, in bytes.
const (
	atSourceIPv4 = 12
	atSourceIPv6 = 8
	atUDPPort    = 2
	atVNI        = 12 // behind the UDP header and the VXLAN header's flags
)

const (
	vniSize  = 3
	ipv4Size = 4
	ipv6Size = 16
)

// fromUnderlay accepts what comes in at the underlay's device.
func fromUnderlay(device int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, uint32(device))},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

// toNetwork has a network's chain judge what is for it.
func toNetwork(vni VNI, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: atUDPPort, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: atVNI, Len: vniSize},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint32(nil, uint32(vni))[4-vniSize:]},
		&expr.Verdict{Kind: expr.VerdictJump, Chain: networkChain(vni).Name},
	}
}

// networkRules accept what comes from a host of the network, and drop all else.
func networkRules(vni VNI) [][]expr.Any {
	known := func(family byte, offset, size uint32, set *nftables.Set) []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
			&expr.Lookup{SourceRegister: 1, SetName: set.Name},
			&expr.Verdict{Kind: expr.VerdictAccept},
		}
	}
	ipv4, ipv6 := hostSets(vni)
	return [][]expr.Any{
		known(unix.NFPROTO_IPV4, atSourceIPv4, ipv4Size, ipv4),
		known(unix.NFPROTO_IPV6, atSourceIPv6, ipv6Size, ipv6),
		{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}},
	}
}

// ensureSources makes the table check all networks that are on the shortcut.
func (d *Datapath) ensureSources(ctx context.Context, device int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	want := d.wantSources(device)
	have := d.short.sources
	if have == nil || have.device != device {
		return d.makeSources(want)
	}
	if time.Since(have.seen) > sourcesLook {
		whole, err := d.sourceTableIs(have)
		if err != nil {
			return fmt.Errorf("look for table %s: %w", sourceTable, err)
		}
		if !whole {
			return d.makeSources(want)
		}
		have.seen = time.Now()
	}
	return d.changeSources(have, want)
}

func (d *Datapath) wantSources(device int) *sources {
	want := &sources{device: device, hosts: map[source]struct{}{}}
	for vni, n := range d.short.networks {
		want.hosts[source{vni: vni}] = struct{}{}
		for host := range n.hosts {
			want.hosts[source{vni, host}] = struct{}{}
		}
	}
	return want
}

// sourceTableIs tells whether the table's rules are those that were made.
func (d *Datapath) sourceTableIs(made *sources) (bool, error) {
	c := d.nft()
	rules, err := chainRules(c, sourcesChain())
	if errors.Is(err, errNoChain) {
		return false, nil
	}
	networks := made.networks()
	if err != nil || len(rules) != 1+len(networks) || !same(rules[0], fromUnderlay(made.device)) {
		return false, err
	}
	for _, vni := range networks {
		jumps := func(r *nftables.Rule) bool { return same(r, toNetwork(vni, d.short.config.Port)) }
		if !slices.ContainsFunc(rules, jumps) {
			return false, nil
		}
		have, err := c.GetRules(sourcesTable(), networkChain(vni))
		if err != nil || !slices.EqualFunc(have, networkRules(vni), same) {
			return false, err
		}
	}
	return true, nil
}

// networks are those that are checked.
func (s *sources) networks() (found []VNI) {
	for of := range s.hosts {
		if !of.host.IsValid() {
			found = append(found, of.vni)
		}
	}
	return found
}

// makeSources makes the table anew.
func (d *Datapath) makeSources(want *sources) error {
	d.short.sources = nil
	c, chain := d.nft(), sourcesChain()
	c.AddTable(chain.Table)
	c.DelTable(chain.Table) // with all that was in it
	c.AddTable(chain.Table)
	c.AddChain(chain)
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: fromUnderlay(want.device)})
	if err := d.addSources(c, want.hosts); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("make table %s: %w", sourceTable, err)
	}
	d.short.sources = want
	return nil
}

// addSources adds networks, and hosts to networks.
func (d *Datapath) addSources(c *nftables.Conn, added map[source]struct{}) error {
	var errs []error
	id := uint32(0)
	for vni, n := range byNetwork(added) {
		if !n.itself {
			errs = append(errs, n.edit(c.SetAddElements, vni))
			continue
		}
		ipv4, ipv6 := hostSets(vni)
		ipv4.ID, ipv6.ID = id+1, id+2 // unique within a transaction is enough; the library would count in a variable that all goroutines share
		id += 2
		errs = append(errs, c.AddSet(ipv4, n.ipv4), c.AddSet(ipv6, n.ipv6))
		chain := c.AddChain(networkChain(vni))
		for _, r := range networkRules(vni) {
			c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: r})
		}
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: sourcesChain(), Exprs: toNetwork(vni, d.short.config.Port)})
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("add to table %s: %w", sourceTable, err)
	}
	return nil
}

// networkSources are what is to be changed about a network: itself, or some of its hosts.
type networkSources struct {
	itself     bool
	ipv4, ipv6 []nftables.SetElement
}

// edit adds hosts to a network's sets, or removes them. The kernel refuses to add nothing.
func (n *networkSources) edit(edit func(*nftables.Set, []nftables.SetElement) error, vni VNI) error {
	var errs []error
	ipv4, ipv6 := hostSets(vni)
	if len(n.ipv4) > 0 {
		errs = append(errs, edit(ipv4, n.ipv4))
	}
	if len(n.ipv6) > 0 {
		errs = append(errs, edit(ipv6, n.ipv6))
	}
	return errors.Join(errs...)
}

func byNetwork(of map[source]struct{}) map[VNI]*networkSources {
	networks := map[VNI]*networkSources{}
	for s := range of {
		n := networks[s.vni]
		if n == nil {
			n = &networkSources{}
			networks[s.vni] = n
		}
		element := nftables.SetElement{Key: s.host.AsSlice()}
		switch {
		case s.host.Is4():
			n.ipv4 = append(n.ipv4, element)
		case s.host.Is6():
			n.ipv6 = append(n.ipv6, element)
		default:
			n.itself = true
		}
	}
	return networks
}

// changeSources makes the table what it should be.
func (d *Datapath) changeSources(have, want *sources) error {
	added, gone := map[source]struct{}{}, map[source]struct{}{}
	for s := range want.hosts {
		if _, ok := have.hosts[s]; !ok {
			added[s] = struct{}{}
		}
	}
	for s := range have.hosts {
		if _, ok := want.hosts[s]; ok {
			continue
		}
		if !s.host.IsValid() {
			return d.makeSources(want) // without that network's rules, which have no names
		}
		gone[s] = struct{}{}
	}
	return d.editSources(have, added, gone)
}

// editSources adds networks and hosts, and removes hosts. have follows, and is forgotten if that fails.
func (d *Datapath) editSources(have *sources, added, gone map[source]struct{}) error {
	if len(added)+len(gone) == 0 {
		return nil
	}
	d.short.sources = nil
	c := d.nft()
	errs := []error{d.addSources(c, added)}
	for vni, n := range byNetwork(gone) {
		errs = append(errs, n.edit(c.SetDeleteElements, vni))
	}
	err := errors.Join(errs...)
	if err == nil { // or else half of it would be done
		err = c.Flush()
	}
	if err != nil {
		return fmt.Errorf("change table %s: %w", sourceTable, err)
	}
	maps.Copy(have.hosts, added)
	maps.DeleteFunc(have.hosts, func(s source, _ struct{}) bool { _, is := gone[s]; return is })
	d.short.sources = have
	return nil
}

// changeSource lets a host send for a network, or not any more.
func (d *Datapath) changeSource(s source, there bool) error {
	have := d.short.sources
	if have == nil {
		return nil // the next pass makes the table as it should be
	}
	one, none := map[source]struct{}{s: {}}, map[source]struct{}{}
	_, known := have.hosts[s]
	switch {
	case known == there:
		return nil
	case there:
		return d.editSources(have, one, none)
	}
	return d.editSources(have, none, one)
}

// removeSources takes the table away if it is there.
func (d *Datapath) removeSources() error {
	d.short.sources = nil
	c, table := d.nft(), sourcesTable()
	c.AddTable(table)
	c.DelTable(table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", sourceTable, err)
	}
	return nil
}

// droppedElsewhere counts what the table has dropped of networks since it was made.
func (d *Datapath) droppedElsewhere(networks iter.Seq[VNI]) (n WayCount, err error) {
	c := d.nft()
	for vni := range networks {
		rules, err := c.GetRules(sourcesTable(), networkChain(vni))
		if err != nil {
			return n, err
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if c, ok := e.(*expr.Counter); ok {
					n.Packets, n.Bytes = n.Packets+c.Packets, n.Bytes+c.Bytes
				}
			}
		}
	}
	return n, nil
}
