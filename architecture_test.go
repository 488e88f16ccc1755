package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// mayImport says which of our packages a package may import (ARCHITECTURE.md).
var mayImport = map[string][]string{
	"falcon":          {"falcon/driver", "falcon/datapath", "falcon/ipam", "falcon/store"},
	"falcon/driver":   {"falcon/ipam", "falcon/datapath", "falcon/store"},
	"falcon/ipam":     {"falcon/store"},
	"falcon/datapath": {"falcon/datapath/balance", "falcon/datapath/netdev"},
	"falcon/store":    {},
}

// kernelLibraries are for package datapath alone.
var kernelLibraries = []string{"github.com/cilium/ebpf", "github.com/vishvananda/netlink", "github.com/vishvananda/netns", "github.com/google/nftables"}

func TestImportsFollowTheArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		allowed, production := mayImport[p.ImportPath]
		for _, i := range p.Imports {
			if production && strings.HasPrefix(i, "falcon") && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
			library := slices.ContainsFunc(kernelLibraries, func(l string) bool { return i == l || strings.HasPrefix(i, l+"/") })
			if production && library && p.ImportPath != "falcon/datapath" {
				t.Errorf("%s imports %s: only datapath touches the kernel", p.ImportPath, i)
			}
		}
	}
}

func TestREADMENamesEveryFlagWithItsDefault(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var s settings
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.flags(set)
	set.VisitAll(func(f *pflag.Flag) {
		row := ""
		for line := range strings.Lines(string(readme)) {
			if cells := strings.Split(line, "|"); len(cells) > 2 && strings.Contains(cells[1], "`--"+f.Name+"`") {
				row = line
			}
		}
		if row == "" {
			t.Errorf("README.md has no row for --%s", f.Name)
		} else if !strings.Contains(row, f.DefValue) {
			t.Errorf("README.md does not give the default %q of --%s: %s", f.DefValue, f.Name, row)
		}
	})
}
