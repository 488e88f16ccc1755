package driver

import (
	"encoding/json"
	"strings"
	"testing"

	network "github.com/docker/go-plugins-helpers/network"
)

func create(id string, options map[string]any, pools ...string) *network.CreateNetworkRequest {
	req := &network.CreateNetworkRequest{NetworkID: id, Options: map[string]any{keyGeneric: options}}
	for _, pool := range pools {
		data := &network.IPAMData{AddressSpace: "LocalDefault", Pool: pool}
		if strings.Contains(pool, ":") {
			req.IPv6Data = append(req.IPv6Data, data)
		} else {
			req.IPv4Data = append(req.IPv4Data, data)
		}
	}
	return req
}

func TestBadOptionsNameKeyValueAndWhatIsAllowed(t *testing.T) {
	cases := []struct {
		name string
		req  *network.CreateNetworkRequest
		want []string
	}{
		{"VNI zero", create("n", map[string]any{keyVNI: "0"}), []string{keyVNI, `"0"`, "1 to 16777215"}},
		{"VNI too large", create("n", map[string]any{keyVNI: "16777216"}), []string{keyVNI, "16777216", "1 to 16777215"}},
		{"VNI no number", create("n", map[string]any{keyVNI: "abc"}), []string{keyVNI, "abc", "number"}},
		{"MTU no number", create("n", map[string]any{keyMTU: ""}), []string{keyMTU, `""`, "number"}},
		{"MTU tiny", create("n", map[string]any{keyMTU: "67"}), []string{keyMTU, "67", "68"}},
		{"MTU below IPv6's", create("n", map[string]any{keyMTU: "1279"}, "fd00::/64"), []string{keyMTU, "1279", "1280"}},
		{"name", create("n", map[string]any{keyNetwork: "a/b"}), []string{keyNetwork, "a/b", "letters"}},
		{"name empty", create("n", map[string]any{keyNetwork: ""}), []string{keyNetwork, "letters"}},
		{"steering", create("n", map[string]any{keySteering: "fast"}), []string{keySteering, "fast", "off, static, dynamic"}},
		{"shortcut", create("n", map[string]any{keyShortcut: "yes"}), []string{keyShortcut, "yes", "on, off"}},
		{"addresses", create("n", map[string]any{keyAllowed: "10.0.0.1,ten"}), []string{keyAllowed, "10.0.0.1,ten", "prefixes"}},
		{"unknown", create("n", map[string]any{"falcon.vnid": "5"}), []string{"falcon.vnid", `"5"`, keyVNI}},
		{"not a string", create("n", map[string]any{keyVNI: []any{1}}), []string{keyVNI, "string"}},
		{"overlap", create("n", nil, "10.0.0.0/8", "10.1.0.0/16"), []string{"10.1.0.0/16", "10.0.0.0/8", "overlaps"}},
		{"subnet", create("n", nil, "10.0.0.0"), []string{"10.0.0.0", "CIDR"}},
		{"no ID", create("", nil), []string{"no network ID"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseRequest(c.req)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestOptionsThatEnginesAddAreIgnored(t *testing.T) {
	r, err := parseRequest(create("n", map[string]any{
		"com.docker.network.endpoint.ifname": "eth7", "something": "else", keyVNI: "7", keyMTU: "1400",
	}, "10.1.0.0/24", "fd00::/64"))
	if err != nil {
		t.Fatal(err)
	}
	if r.vni != 7 || r.mtu != 1400 || r.name != "n" || len(r.subnets) != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestInternalAsBooleanOrString(t *testing.T) {
	for _, value := range []any{true, "true"} {
		req := create("n", nil)
		req.Options[keyInternal] = value
		r, err := parseRequest(req)
		if err != nil || !r.internal {
			t.Errorf("%v: got %t, %v", value, r.internal, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []*network.CreateNetworkRequest{
		create("n", map[string]any{keyVNI: "7", keyNetwork: "web"}, "10.1.0.0/24"), create("n", nil, "fd00::/64"), {},
	} {
		raw, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := decodeRequest[network.CreateNetworkRequest](strings.NewReader(string(raw)))
		if err != nil {
			return
		}
		r, err := parseRequest(req)
		if err != nil {
			return
		}
		if r.dockerID == "" || r.name == "" || r.vni > 1<<24-1 || r.mtu < 0 {
			t.Errorf("accepted %+v", r)
		}
		for i, p := range r.subnets {
			if !p.IsValid() || p != p.Masked() {
				t.Errorf("accepted subnet %v", p)
			}
			for _, q := range r.subnets[:i] {
				if p.Overlaps(q) {
					t.Errorf("accepted overlapping %v and %v", p, q)
				}
			}
		}
	})
}

func FuzzDecodeNetworks(f *testing.F) {
	f.Add(`[{"Id":"a","IPAM":{"Driver":"falcon","Options":{"falcon.network":"web"},"Config":[{"Subnet":"10.1.0.0/24"}]}}]`)
	f.Add(`[]`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, raw string) {
		networks, err := decodeNetworks(strings.NewReader(raw))
		if err != nil && networks != nil {
			t.Error("an error and a result")
		}
	})
}
