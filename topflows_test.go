package main

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"falcon/driver"
)

func flowsAt(at time.Time, flows ...driver.FlowPlace) topSample {
	return topSample{at, driver.Status{Steering: driver.SteeringStatus{Flows: flows}}}
}

// flow is to a port of one container.
func flow(bucket int, port uint16, sent uint32, vxlan int) driver.FlowPlace {
	return driver.FlowPlace{Bucket: bucket, Network: "web", Address: netip.MustParseAddr("10.0.0.2"), Protocol: "tcp", Port: port,
		Sent: sent, Volume: 1000 * uint64(sent), VXLAN: vxlan, Container: vxlan, Packets: 1e6}
}

func TestGroupFlows(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	before := flowsAt(at, flow(1, 80, 100, 0), flow(2, 80, 0, 1), flow(3, 443, math.MaxUint32-99, 0), flow(4, 80, 700, 1))
	wrapped := flow(3, 443, 300, 0)
	wrapped.Volume = 1000 * (math.MaxUint32 + 301)
	anew := flow(4, 80, 10, 1)
	after := flowsAt(at.Add(2*time.Second), flow(1, 80, 300, 0), flow(2, 80, 50, 1), wrapped, anew, flow(5, 80, 999, 0))
	var got []string
	for _, g := range groupFlows(before, after) {
		got = append(got, fmt.Sprintf("%s on %d: %d flows, %.0f/s", g.name, g.to.VXLAN, g.flows, g.packets))
	}
	want := "[10.0.0.2:443/tcp on 0: 1 flows, 200/s 10.0.0.2:80/tcp on 0: 2 flows, 100/s 10.0.0.2:80/tcp on 1: 2 flows, 25/s]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// The most busy groups are shown where there is no room for all, and stay in their places whatever they do.
func TestFlowsStayInPlace(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	rows := func(busy uint16) string {
		var flows, later []driver.FlowPlace
		for port := range uint16(4) {
			sent := uint32(10 * (port + 1))
			if port == busy {
				sent = 1000
			}
			flows, later = append(flows, flow(int(port), port+1, 0, 0)), append(later, flow(int(port), port+1, sent, 0))
		}
		var names []string
		for _, row := range (topView{}).flowTable(groupFlows(flowsAt(at, flows...), flowsAt(at.Add(time.Second), later...)), 3).rows {
			names = append(names, row[0])
		}
		return fmt.Sprint(names)
	}
	for busy, want := range map[uint16]string{
		3: "[10.0.0.2:2/tcp 10.0.0.2:3/tcp 10.0.0.2:4/tcp]",
		2: "[10.0.0.2:2/tcp 10.0.0.2:3/tcp 10.0.0.2:4/tcp]",
		0: "[10.0.0.2:1/tcp 10.0.0.2:3/tcp 10.0.0.2:4/tcp]",
	} {
		if got := rows(busy); got != want {
			t.Errorf("with port %d busy: %s, want %s", busy+1, got, want)
		}
	}
}
