/* SPDX-License-Identifier: GPL-2.0 */
/* Which way each flow's packets go, while somebody asks (falcon trace). Otherwise it costs one look into a map. */
#pragma once

#include "shortcut.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32); /* 0 */
	__type(value, struct tracing);
} tracings SEC(".maps");

/* Entries take memory only when they are there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct traced_flow);
	__type(value, struct traced);
} traced_flows SEC(".maps");

/* flow_of reads what can be read of a frame that begins at a place in a packet. Ports are those of whole packets. */
static __always_inline void flow_of(struct __sk_buff *skb, __u32 at, struct traced_flow *f)
{
	struct ipv6hdr ip6;
	struct arp arp;
	struct ethhdr eth;
	struct iphdr ip4;
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, at, &eth, sizeof(eth)))
		return;
	at += sizeof(eth);
	f->ethertype = eth.h_proto;
	switch (eth.h_proto) {
	case bpf_htons(ETH_P_IP):
		if (bpf_skb_load_bytes(skb, at, &ip4, sizeof(ip4)))
			return;
		f->source = mapped(ip4.saddr);
		f->target = mapped(ip4.daddr);
		f->protocol = ip4.protocol;
		if (ip4.frag_off & bpf_htons(IP4_OFFSET | IP4_MORE))
			return;
		at += ip4.ihl * 4;
		break;
	case bpf_htons(ETH_P_IPV6):
		if (bpf_skb_load_bytes(skb, at, &ip6, sizeof(ip6)))
			return;
		__builtin_memcpy(&f->source, &ip6.saddr, sizeof(f->source));
		__builtin_memcpy(&f->target, &ip6.daddr, sizeof(f->target));
		f->protocol = ip6.nexthdr;
		at += sizeof(ip6);
		break;
	case bpf_htons(ETH_P_ARP):
		if (bpf_skb_load_bytes(skb, at, &arp, sizeof(arp)))
			return;
		f->source = mapped(*(__be32 *)arp.sender_ip);
		f->target = mapped(*(__be32 *)arp.target_ip);
		return;
	default:
		return;
	}
	if ((f->protocol != IPPROTO_TCP && f->protocol != IPPROTO_UDP) || bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
		return;
	f->source_port = ports[0];
	f->target_port = ports[1];
}

/* note adds packets to their flow. */
static __always_inline void note(struct tracing *tracing, struct traced_flow *key, __u32 packets, __u32 bytes)
{
	struct traced *flow = bpf_map_lookup_elem(&traced_flows, key), none = {};

	if (!flow) {
		bpf_map_update_elem(&traced_flows, key, &none, BPF_NOEXIST);
		flow = bpf_map_lookup_elem(&traced_flows, key);
	}
	if (!flow) {
		__sync_fetch_and_add(&tracing->lost, packets);
		return;
	}
	__sync_fetch_and_add(&flow->packets, packets);
	__sync_fetch_and_add(&flow->bytes, bytes);
}

/* record adds a packet to its flow. Not inlined, for it is rare. */
static __noinline int record(struct __sk_buff *skb, struct tracing *tracing, __u32 at, enum way way)
{
	struct traced_flow key = {.vni = tracing->vni, .way = way};

	flow_of(skb, at, &key);
	note(tracing, &key, packets_of(skb), skb->len - at);
	return 0;
}

/* tracing_of is what asks for a network's packets; null: nobody does. */
static __always_inline struct tracing *tracing_of(__u32 vni)
{
	__u32 zero = 0;
	struct tracing *tracing = bpf_map_lookup_elem(&tracings, &zero);

	return tracing && tracing->until && tracing->vni == vni && bpf_ktime_get_coarse_ns() < tracing->until ? tracing : 0;
}

/* trace is told which way a frame goes that begins at a place in a packet. */
static __always_inline void trace(struct __sk_buff *skb, __u32 vni, __u32 at, enum way way)
{
	struct tracing *tracing = tracing_of(vni);

	if (tracing)
		record(skb, tracing, at, way);
}
