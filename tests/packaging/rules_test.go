package packaging

import (
	"os/exec"
	"testing"

	"falcon/tests/lab"
)

// Prometheus takes the rules and the scrape configuration, and alerts are given when they should be, and not otherwise.
func TestPrometheusRules(t *testing.T) {
	lab.Require(t)
	for _, argv := range [][]string{
		{"check", "rules", "falcon.rules.yml"},
		{"check", "config", "scrape.yml"},
		{"test", "rules", "falcon.rules.test.yml"},
	} {
		cmd := exec.Command("promtool", argv...)
		cmd.Dir = "../../packaging/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", argv, err, out)
		}
	}
}
