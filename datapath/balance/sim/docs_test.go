package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

const (
	docs       = "../../../docs/simulator.md"
	tableBegin = "<!-- results: go test ./datapath/balance/sim -run TestDocs -update -->\n"
	tableEnd   = "<!-- end of results -->\n"
)

var update = flag.Bool("update", false, "write the results into docs/simulator.md")

// table is the matrix's results, in thousands of packets per second.
func table(results map[string]map[Policy]Result) string {
	var b strings.Builder
	b.WriteString("| scenario | off | static | paper | dynamic | ideal | fairness | migrations/s |\n|---|---|---|---|---|---|---|---|\n")
	for _, s := range Matrix() {
		r := results[s.Name]
		d := r[Dynamic]
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.3f | %.0f |\n", s.Name, r[Off].Throughput/1e3,
			r[Static].Throughput/1e3, r[Paper].Throughput/1e3, d.Throughput/1e3, d.Ideal/1e3, d.Fairness, d.Migrations)
	}
	return b.String()
}

// The documentation has the results of this code. With -update, it gets them.
func TestDocs(t *testing.T) {
	now := table(results())
	t.Log("\n" + now)
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	was, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the results", docs)
	}
	if *update {
		if err := os.WriteFile(docs, []byte(before+tableBegin+now+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// Others may fuse multiplications and additions, and then round otherwise.
	if runtime.GOARCH == "amd64" && was != now {
		t.Errorf("%s is not what the simulator says; run go test ./datapath/balance/sim -run TestDocs -update. Has:\n%s", docs, was)
	}
}
