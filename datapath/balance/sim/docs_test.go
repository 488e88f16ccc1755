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

const head = "| scenario | off | static | paper | dynamic | ideal | fairness | migrations/s |\n|---|---|---|---|---|---|---|---|\n"

// row is a scenario's results, in thousands of packets per second.
func row(s Scenario, r map[Policy]Result) string {
	d := r[Dynamic]
	return fmt.Sprintf("| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.3f | %.0f |\n", s.Name, r[Off].Throughput/1e3,
		r[Static].Throughput/1e3, r[Paper].Throughput/1e3, d.Throughput/1e3, d.Ideal/1e3, d.Fairness, d.Migrations)
}

// The documentation has the results of this code. With -update, it gets them. Where it has not, run
//
//	go test ./datapath/balance/sim -run TestDocs -update
func TestDocs(t *testing.T) {
	var rows []string
	for _, s := range scenarios() {
		rows = append(rows, row(s, results()[s.Name]))
	}
	t.Log("\n" + head + strings.Join(rows, ""))
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
		if len(rows) < len(Matrix()) {
			t.Fatal("some scenarios are left out; run without -short and -race")
		}
		text := before + tableBegin + head + strings.Join(rows, "") + tableEnd + after
		if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if runtime.GOARCH != "amd64" {
		return // others may fuse multiplications and additions, and then round otherwise
	}
	if has := strings.Count(was, "\n") - strings.Count(head, "\n"); has != len(Matrix()) {
		t.Errorf("%s has results of %d scenarios, there are %d", docs, has, len(Matrix()))
	}
	for _, r := range rows {
		if !strings.Contains(was, r) {
			t.Errorf("%s does not have what the simulator says: %s", docs, r)
		}
	}
}
