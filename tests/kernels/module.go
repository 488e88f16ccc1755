package kernels

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// wantedModules are what the tests of package datapath need. No module is loaded on demand in the guest: one that is
// missing here shows as "operation not supported" or "no such file or directory" of what needs it.
var wantedModules = []string{
	"crc32c_generic", // libcrc32c asks the kernel for it by name
	"vxlan", "bridge", "br_netfilter", "veth", "dummy", "8021q",
	"sch_ingress", "cls_bpf", "act_bpf", "act_gact", "act_mirred", "cls_matchall", "cls_u32", "sch_fq_codel",
	"nf_tables", "nf_conntrack", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_compat",
	"xt_addrtype", "xt_comment", "xt_conntrack", "xt_MASQUERADE", "xt_nat", "xt_tcpudp",
	"iptable_filter", "iptable_nat", "ip6table_filter", "ip6table_nat",
}

// module is one that is loaded.
type module struct {
	name string
	code []byte // uncompressed
}

// moduleSet collects modules with what they depend on, in an order in which they can be loaded.
type moduleSet struct {
	files   map[string]string // path by name
	builtin map[string]bool
	seen    map[string]bool
	ordered []module
}

// modules gives the wanted ones and all that they depend on.
func (k kernel) modules(ctx context.Context, wanted []string) ([]module, error) {
	s := moduleSet{map[string]string{}, map[string]bool{}, map[string]bool{}, nil}
	files, err := filepath.Glob(filepath.Join(k.dir, "modules", "*"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		s.files[moduleName(f)] = f
	}
	builtin, err := os.ReadFile(filepath.Join(k.dir, "builtin"))
	if err != nil {
		return nil, fmt.Errorf("read names of built-in modules: %w", err)
	}
	for _, f := range strings.Fields(string(builtin)) {
		s.builtin[moduleName(f)] = true
	}
	for _, name := range wanted {
		if err := s.add(ctx, name); err != nil {
			return nil, err
		}
	}
	return s.ordered, nil
}

// moduleName is what the kernel calls the module of a file; files may have dashes where names have underscores.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func (s *moduleSet) add(ctx context.Context, name string) error {
	if s.seen[name] || s.builtin[name] {
		return nil
	}
	s.seen[name] = true
	file, ok := s.files[name]
	if !ok {
		return fmt.Errorf("add module %s: this kernel has none", name)
	}
	code, err := readModule(ctx, file)
	if err != nil {
		return fmt.Errorf("add module %s: %w", name, err)
	}
	depends, err := dependencies(code)
	if err != nil {
		return fmt.Errorf("add module %s: %w", name, err)
	}
	for _, d := range depends {
		if err := s.add(ctx, d); err != nil {
			return err
		}
	}
	s.ordered = append(s.ordered, module{name, code})
	return nil
}

func readModule(ctx context.Context, file string) ([]byte, error) {
	if filepath.Ext(file) != ".xz" {
		return os.ReadFile(file)
	}
	code, err := output(ctx, "", "busybox", "xzcat", file)
	return []byte(code), err
}

// dependencies reads what depmod would, from the module itself: Debian's packages bring no modules.dep.
func dependencies(code []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok {
			return slices.DeleteFunc(strings.Split(strings.ReplaceAll(list, "-", "_"), ","),
				func(name string) bool { return name == "" }), nil
		}
	}
	return nil, nil
}
