package driver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"falcon/datapath"
)

func (k *fakeKernel) setSteering(s datapath.SteeringStatus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.steering = s
}

func TestSteeringProblemsAreDegradedInOrder(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	a.kernel.setSteering(datapath.SteeringStatus{Problems: map[string]string{"network web": "no", "balancer": "stopped"}})
	want := "[{steering: balancer stopped} {steering: network web no}]"
	if got := fmt.Sprint(a.Status(t.Context()).Degraded); got != want {
		t.Errorf("degraded %s, want %s", got, want)
	}
}

// What many suffer from is one thing to mend.
func TestSteeringProblemsOfOneCause(t *testing.T) {
	problems := map[string]string{"balancer": "stopped", "programs": "no bpffs"}
	for i := range 5 {
		problems[fmt.Sprintf("network n%d", i)] = "no bpffs"
	}
	got := fmt.Sprint(problemsOf("steering", problems))
	if want := "[{steering: balancer stopped} {steering: network n0, network n1, network n2 and 3 more no bpffs}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFlowsAreNamed(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	must(t, a.CreateNetwork(t.Context(), named("n", "web", "10.1.0.0/24")))
	answer, err := a.CreateEndpoint(t.Context(), endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	vni, mac := datapath.VNI(a.Status(t.Context()).Networks[0].VNI), answer.Interface.MacAddress
	a.kernel.setSteering(datapath.SteeringStatus{Flows: []datapath.FlowStatus{
		{VNI: vni, MAC: mac, Protocol: 17, Port: 53, NIC: 2, VXLAN: -1, Container: -1},
		{VNI: vni + 1, MAC: mac, Protocol: 47, NIC: 2, VXLAN: 3, Container: -1},
	}})
	s := a.Status(t.Context()).Steering
	if f := s.Flows[0]; f.Network != "web" || f.Endpoint != endpointA || f.Address.String() != "10.1.0.2" || f.Protocol != "udp" || f.VXLAN != 2 || f.Container != 2 {
		t.Errorf("flow of a known endpoint: %+v", f)
	}
	if f := s.Flows[1]; f.Network != "" || f.Address.IsValid() || f.MAC != mac || f.Protocol != "47" || f.Container != 3 {
		t.Errorf("flow of nobody: %+v", f)
	}
	text, err := json.Marshal(s)
	must(t, err)
	if n := strings.Count(string(text), `"flows"`); n != 1 {
		t.Errorf("flows are told %d times: %s", n, text)
	}
}
