package subject

import (
	"errors"
	"slices"
	"testing"
)

func TestRefusalIsToldFromFailure(t *testing.T) {
	for message, want := range map[string]string{
		"start lab: start falcon on h1: it ended; last: dial\nfalcon: --split=on: has only \"off\"": `--split=on: has only "off"`,
		"exit status 1: Error response from daemon: NetworkDriver.CreateNetwork: falcon: no\nmore":  "no",
		"start lab: no space left on device":                 "",
		"run \"docker\" on h1: Cannot connect to the daemon": "",
	} {
		if got, refused := refusal(errors.New(message)); got != want || refused != (want != "") {
			t.Errorf("%s: got %q, %v", message, got, refused)
		}
	}
	if cause, refused := refusal(nil); refused {
		t.Errorf("no error is a refusal: %s", cause)
	}
}

func TestSplitIsAFlagThatComesAndGoes(t *testing.T) {
	argv := []string{"falcon", "serve"}
	split := driverArgs(slices.Clone(argv), splitFlag+"on")
	want := []string{"falcon", "serve", "--split=on"}
	if !slices.Equal(split, want) || !slices.Equal(driverArgs(slices.Clone(split), splitFlag+"on"), want) {
		t.Errorf("got %q, want %q", split, want)
	}
	if got := driverArgs(split, ""); !slices.Equal(got, argv) {
		t.Errorf("got %q, want %q", got, argv)
	}
}
