package sim

import (
	"os"
	"testing"
)

var policies = []Policy{Off, Static, Paper, Dynamic}

// TestReport prints the table: go test -run TestReport -v.
func TestReport(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("prints a table; run with -v")
	}
	var results []Result
	for _, s := range Matrix() {
		for _, p := range policies {
			results = append(results, Run(s, p))
		}
	}
	if err := WriteTable(os.Stdout, results); err != nil {
		t.Fatal(err)
	}
}
