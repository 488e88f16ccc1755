package subject

import (
	"strings"
	"testing"
)

func TestOnly(t *testing.T) {
	b := &Bed{subjects: candidates()}
	if err := b.Only([]string{"host", "bridge"}); err == nil || !strings.Contains(err.Error(), `"bridge"`) || !strings.Contains(err.Error(), "falcon-static") {
		t.Errorf("of one that there is not: %v", err)
	}
	if err := b.Only([]string{"falcon", "host"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Subjects() {
		if wanted := s.Name == "falcon" || s.Name == "host"; (s.Missing == "") != wanted {
			t.Errorf("%s: missing %q", s.Name, s.Missing)
		}
	}
}
