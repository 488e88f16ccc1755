package subject

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"falcon/tests/lab"
)

// ruleSet is what an engine has in a host's netfilter, by program that reads it.
type ruleSet map[string]string

// setRules puts the rules of both hosts' engines back, or takes them away, and with them connection tracking. Falcon's stay: two, of which one
// lets at once pass what comes in at the NIC.
func (b *Bed) setRules(ctx context.Context, s setting) error {
	b.rules = unknown
	for _, h := range b.hosts() {
		if err := b.setRulesOf(ctx, h, s); err != nil {
			return fmt.Errorf("set rules of %s: %w", h.Name, err)
		}
	}
	b.rules = s
	return nil
}

func (b *Bed) setRulesOf(ctx context.Context, h *lab.Host, s setting) error {
	if b.saved[h] == nil {
		saved := ruleSet{}
		for _, program := range []string{"iptables", "ip6tables"} {
			rules, err := h.Exec(ctx, program+"-save")
			if err != nil {
				return err
			}
			saved[program] = rules + "\n"
		}
		b.saved[h] = saved
	}
	for _, family := range []string{"ip", "ip6"} {
		tables, err := h.Exec(ctx, "nft", "list", "tables", family)
		if err != nil {
			return err
		}
		for line := range strings.Lines(tables) {
			if _, err := h.Exec(ctx, append([]string{"nft", "delete"}, strings.Fields(line)...)...); err != nil {
				return err
			}
		}
	}
	if s == on {
		for program, rules := range b.saved[h] {
			if _, err := h.ExecInput(ctx, strings.NewReader(rules), program+"-restore"); err != nil {
				return err
			}
		}
		return nil
	}
	left, err := h.Exec(ctx, "iptables-save")
	if err == nil && strings.Contains(left, "\n-A ") {
		err = errors.New("iptables keeps rules elsewhere than in nftables: update-alternatives --set iptables /usr/sbin/iptables-nft")
	}
	return err
}
