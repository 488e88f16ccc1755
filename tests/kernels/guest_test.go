package kernels

import "testing"

func TestJudge(t *testing.T) {
	const pass, skip, fail = "--- PASS: TestA (0.1s)\n", "--- SKIP: TestB (0.0s)\n", "--- FAIL: TestC (0.0s)\n"
	const done, failed = "\nfalcon-kernels: exit status 0\n", "\nfalcon-kernels: exit status 1\n"
	for console, want := range map[string]string{
		pass + done:                      "",
		pass + "    " + skip + done:      "", // of a part
		pass + skip + done:               "run tests: skipped [TestB]",
		pass + fail + failed:             "run tests: exit status 1, failed [TestC]",
		pass:                             "guest ended without the test's exit status",
		pass + "Kernel panic - not sync": "guest ended without the test's exit status",
		"PASS\n" + done:                  "run tests: there was none",
	} {
		_, err := judge(console)
		if got := message(err); got != want {
			t.Errorf("%q: %q, not %q", console, got, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
