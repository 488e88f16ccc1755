package ipam

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePoolID(t *testing.T) {
	for _, good := range []string{
		"web#10.1.0.0/24", "web#10.1.0.0/24#10.1.0.128/25", "@h1#fd00::/64", "@global#10.0.0.0/8",
		"web_2.x-y#fd00::/64#fd00::8000:0:0:0/65", "w#10.1.0.0/32",
	} {
		id, err := ParsePoolID(good)
		if err != nil || id.String() != good {
			t.Errorf("%s: got %s, %v", good, id, err)
		}
	}
	for bad, why := range map[string]string{
		"":                              "parts",
		"web":                           "parts",
		"#10.1.0.0/24":                  "scope",
		"@#10.1.0.0/24":                 "scope",
		"@@a#10.1.0.0/24":               "scope",
		"a/b#10.1.0.0/24":               "scope",
		"web#":                          "CIDR",
		"web#10.1.0.0":                  "CIDR",
		"web#10.1.0.1/24":               "host bits",
		"web#010.1.0.0/24":              "CIDR",
		"web#0.0.0.0/0":                 "unspecified",
		"web#224.1.0.0/24":              "multicast",
		"web#FD00::/64":                 "canonical",
		"web#fd00:0::/64":               "canonical",
		"web#::ffff:10.1.0.0/120":       "",
		"web#fd00::%eth0/64":            "CIDR",
		"web#10.1.0.0/24#":              "CIDR",
		"web#10.1.0.0/24#10.1.0.0/24":   "canonical",
		"web#10.1.0.0/24#10.1.0.0/16":   "within",
		"web#10.1.0.0/24#10.0.0.0/16":   "within",
		"web#10.1.0.0/24#10.2.0.0/25":   "within",
		"web#10.1.0.0/24#fd00::/65":     "within",
		"web#10.1.0.0/24#10.1.0.255/32": "no host address",
		"web#10.1.0.0/24#10.1.0.0/25#":  "parts",
	} {
		_, err := ParsePoolID(bad)
		var input *InputError
		if !errors.As(err, &input) || !errors.Is(err, ErrInput) || input.Key != "PoolID" || input.Value != bad || input.Want == "" {
			t.Errorf("%q: got %v, want an InputError", bad, err)
		} else if !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %v, want it to say %q", bad, err, why)
		}
	}
}

func FuzzParsePoolID(f *testing.F) {
	f.Add("web#10.1.0.0/24#10.1.0.128/25")
	f.Add("@h1#fd00::/64")
	f.Add("@#::ffff:1.2.3.0/120#x")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParsePoolID(s)
		if err != nil {
			if !errors.Is(err, ErrInput) || id != (PoolID{}) {
				t.Fatalf("%q: got %v, %v", s, id, err)
			}
			return
		}
		if id.String() != s || !isScope(id.Scope) || id.Prefix != id.Prefix.Masked() {
			t.Fatalf("%q: got %v", s, id)
		}
		if strings.Contains(id.key().pool(), "//") || strings.Count(id.key().pool(), "/") != 3 {
			t.Fatalf("%q: key is %q", s, id.key().pool())
		}
		if b, ok := id.block(); !ok || !id.Prefix.Contains(b.first) || !id.Prefix.Contains(b.last) {
			t.Fatalf("%q: gives %v", s, b)
		}
	})
}
