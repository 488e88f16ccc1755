package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// falcon_in checks the senders of what comes in at the underlay's device. A VXLAN packet may come in at another one, in earnest where
// an address of the host is reached by several, or from somebody who can send to it there. For these a table of our own has the same
// check: a chain at the input hook, to which whole datagrams come, and sets of the networks' hosts.
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

// Names of the sets.
const (
	checkedNetworks = "networks"
	hostsIPv4       = "hosts4"
	hostsIPv6       = "hosts6"
)

func sourcesChain() *nftables.Chain {
	return &nftables.Chain{
		Name: sourceChain, Table: &nftables.Table{Name: sourceTable, Family: nftables.TableFamilyINet},
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	}
}

// setOf is one of the table's sets. The VNI comes last. Of nftables' types with a size, a mark is next to a number (as nft shows it,
// in hexadecimal).
func setOf(t *nftables.Table, name string, first ...nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{
		Table: t, Name: name, Concatenation: len(first) > 0, KeyByteOrder: binaryutil.NativeEndian,
		KeyType: nftables.MustConcatSetType(append(first, nftables.TypeMark)...),
	}
}

// Registers of nftables, by the names that the kernel lists rules with: a key begins in the first, and goes on behind an address.
const (
	firstRegister = unix.NFT_REG_1
	afterIPv4     = unix.NFT_REG32_01
	afterIPv6     = unix.NFT_REG_2
)

// Offsets, in bytes.
const (
	atSourceIPv4 = 12
	atSourceIPv6 = 8
	atUDPPort    = 2
	atVNI        = 11 // and a byte before it, behind the UDP header
)

const (
	vniSize  = 4 // with that byte
	ipv4Size = 4
	ipv6Size = 16
)

// sourceRules accept what comes in at the underlay's device, or from a host of the network, and drop what else is for a network.
func sourceRules(device int, port uint16) [][]expr.Any {
	vxlan := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: atUDPPort, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
	}
	vni := func(register uint32) []expr.Any {
		return []expr.Any{
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: atVNI, Len: vniSize},
			&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: vniSize,
				Mask: binary.BigEndian.AppendUint32(nil, uint32(MaxVNI)), Xor: make([]byte, vniSize)},
			&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderNtoh, Len: vniSize, Size: vniSize},
		}
	}
	known := func(family byte, offset, size, after uint32, set string) []expr.Any {
		return slices.Concat([]expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		}, vxlan, []expr.Any{
			&expr.Payload{DestRegister: firstRegister, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		}, vni(after), []expr.Any{
			&expr.Lookup{SourceRegister: firstRegister, SetName: set},
			&expr.Verdict{Kind: expr.VerdictAccept},
		})
	}
	return [][]expr.Any{
		{
			&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, uint32(device))},
			&expr.Verdict{Kind: expr.VerdictAccept},
		},
		known(unix.NFPROTO_IPV4, atSourceIPv4, ipv4Size, afterIPv4, hostsIPv4),
		known(unix.NFPROTO_IPV6, atSourceIPv6, ipv6Size, afterIPv6, hostsIPv6),
		slices.Concat(vxlan, vni(firstRegister), []expr.Any{
			&expr.Lookup{SourceRegister: firstRegister, SetName: checkedNetworks}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop},
		}),
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
		whole, err := sourceTableIs(d.nft(), sourceRules(device, d.short.config.Port))
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

// sourceTableIs tells whether the table's rules are these.
func sourceTableIs(c *nftables.Conn, rules [][]expr.Any) (bool, error) {
	have, err := chainRules(c, sourcesChain())
	if errors.Is(err, errNoChain) {
		return false, nil
	}
	if err != nil || len(have) != len(rules) {
		return false, err
	}
	for i, r := range rules {
		// The library does not read this one back.
		legible := slices.DeleteFunc(slices.Clone(r), func(e expr.Any) bool { _, is := e.(*expr.Byteorder); return is })
		if !same(have[i], legible) {
			return false, nil
		}
	}
	return true, nil
}

// makeSources makes the table anew.
func (d *Datapath) makeSources(want *sources) error {
	d.short.sources = nil
	c, chain := d.nft(), sourcesChain()
	c.AddTable(chain.Table)
	c.DelTable(chain.Table) // with the set's elements
	c.AddTable(chain.Table)
	c.AddChain(chain)
	elements := elementsOf(want.hosts)
	for _, s := range sourceSets(chain.Table) {
		if err := c.AddSet(s, elements[s.Name]); err != nil {
			return fmt.Errorf("make set %s of table %s: %w", s.Name, sourceTable, err)
		}
	}
	for _, r := range sourceRules(want.device, d.short.config.Port) {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: r})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("make table %s: %w", sourceTable, err)
	}
	d.short.sources = want
	return nil
}

// changeSources makes the sets what they should be.
func (d *Datapath) changeSources(have, want *sources) error {
	added, gone := map[source]struct{}{}, map[source]struct{}{}
	for s := range want.hosts {
		if _, ok := have.hosts[s]; !ok {
			added[s] = struct{}{}
		}
	}
	for s := range have.hosts {
		if _, ok := want.hosts[s]; !ok {
			gone[s] = struct{}{}
		}
	}
	return d.editSources(have, added, gone)
}

// editSources adds to the sets and removes from them. have follows, and is forgotten if that fails.
func (d *Datapath) editSources(have *sources, added, gone map[source]struct{}) error {
	if len(added)+len(gone) == 0 {
		return nil
	}
	d.short.sources = nil
	c := d.nft()
	more, less := elementsOf(added), elementsOf(gone)
	for _, s := range sourceSets(sourcesChain().Table) {
		var errs []error
		if len(more[s.Name]) > 0 {
			errs = append(errs, c.SetAddElements(s, more[s.Name]))
		}
		if len(less[s.Name]) > 0 {
			errs = append(errs, c.SetDeleteElements(s, less[s.Name]))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("change set %s of table %s: %w", s.Name, sourceTable, err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("change sets of table %s: %w", sourceTable, err)
	}
	maps.Copy(have.hosts, added)
	maps.DeleteFunc(have.hosts, func(s source, _ struct{}) bool { _, is := gone[s]; return is })
	d.short.sources = have
	return nil
}

func sourceSets(t *nftables.Table) []*nftables.Set {
	sets := []*nftables.Set{
		setOf(t, checkedNetworks), setOf(t, hostsIPv4, nftables.TypeIPAddr), setOf(t, hostsIPv6, nftables.TypeIP6Addr),
	}
	for i, s := range sets {
		s.ID = uint32(i + 1) // unique within a transaction is enough; the library would count in a variable that all goroutines share
	}
	return sets
}

// elementsOf sorts sources into the sets; one without a host is a network.
func elementsOf(hosts map[source]struct{}) map[string][]nftables.SetElement {
	elements := map[string][]nftables.SetElement{}
	for s := range hosts {
		set := checkedNetworks
		switch {
		case s.host.Is4():
			set = hostsIPv4
		case s.host.Is6():
			set = hostsIPv6
		}
		key := binary.NativeEndian.AppendUint32(s.host.AsSlice(), uint32(s.vni))
		elements[set] = append(elements[set], nftables.SetElement{Key: key})
	}
	return elements
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
	c, table := d.nft(), sourcesChain().Table
	c.AddTable(table)
	c.DelTable(table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", sourceTable, err)
	}
	return nil
}

// droppedElsewhere counts what the table has dropped since it was made.
func (d *Datapath) droppedElsewhere() (n WayCount, err error) {
	rules, err := chainRules(d.nft(), sourcesChain())
	if errors.Is(err, errNoChain) {
		return n, nil
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				n.Packets, n.Bytes = n.Packets+c.Packets, n.Bytes+c.Bytes
			}
		}
	}
	return n, err
}
