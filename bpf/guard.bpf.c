// SPDX-License-Identifier: GPL-2.0
// At tc ingress of a network's bridge device. What arrives here is what the bridge hands up to the host's own
// stack: frames for the bridge's MAC, broadcasts, multicasts. The host has no business in the overlay (it would
// answer ARP for its other addresses, take router advertisements, and route containers out of an --internal
// network), so all of it is dropped. What the bridge forwards between its ports does not come by.
// The drops count in the clsact qdisc: tc -s qdisc show dev fbr-<vni>.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tc")
int falcon_guard(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}
