/* SPDX-License-Identifier: GPL-2.0 */
/* Datagrams at the NIC's driver, where they are frames in a ring. */
#pragma once

#include "decap.h"
#include "pace.h"
#include "trace.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32); /* 0 */
	__type(value, struct nic);
} nics SEC(".maps");

/* is_for tells whether a frame is for a device, which in promiscuous mode is given others' too. */
static __always_inline bool is_for(const struct ethhdr *eth)
{
	__u32 zero = 0;
	struct nic *nic = bpf_map_lookup_elem(&nics, &zero);

	return nic && !__builtin_memcmp(nic->mac, eth->h_dest, ETH_ALEN);
}

/* is_datagram tells whether a frame could be a datagram. Most of what comes in is TCP, and should not cost more than a look. */
static __always_inline bool is_datagram(struct walk *w)
{
	struct ethhdr *eth = HERE(w, struct ethhdr);
	struct ipv6hdr *ip6;
	struct iphdr *ip4;

	if (!REACHES(w, eth))
		return false;
	w->at += ETH_HLEN;
	ip4 = HERE(w, struct iphdr);
	ip6 = HERE(w, struct ipv6hdr);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return REACHES(w, ip4) && ip4->protocol == IPPROTO_UDP;
	return eth->h_proto == bpf_htons(ETH_P_IPV6) && REACHES(w, ip6) && ip6->nexthdr == IPPROTO_UDP;
}

/* read_early tells whether a frame is a VXLAN packet with nothing unusual about it, and a datagram in it. */
static __always_inline bool read_early(struct xdp_md *ctx, struct inbound *in)
{
	struct walk w = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct ethhdr *eth = w.data;

	if ((void *)(eth + 1) > w.end || !is_for(eth) || read_outer(w.data, w.end, eth->h_proto, in) != PARSED_FLOW || in->unusual)
		return false;
	w.at = in->at;
	return is_datagram(&w);
}

/* congest passes on that there was congestion (RFC 6040, section 4.2), in a header whose ECN is not zero. */
static __always_inline bool congest(struct walk *w, __be16 proto)
{
	struct ipv6hdr *ip6 = HERE(w, struct ipv6hdr);
	struct iphdr *ip4 = HERE(w, struct iphdr);
	__u32 sum;

	if (proto == bpf_htons(ETH_P_IPV6)) {
		if (!REACHES(w, ip6))
			return false;
		ip6->flow_lbl[0] |= ECN_MASK << 4;
		return true;
	}
	if (!REACHES(w, ip4))
		return false;
	/* RFC 1624, equation 4: what the word with the ECN grows by, the sum shrinks by. */
	sum = bpf_ntohs(ip4->check) + (~((ip4->tos | ECN_MASK) - ip4->tos) & 0xffff);
	ip4->check = bpf_htons((sum & 0xffff) + (sum >> 16));
	ip4->tos |= ECN_MASK;
	return true;
}

/* finish_early makes of it the frame that the container's device is to receive, if it is one of many plain datagrams. */
static __always_inline bool finish_early(struct xdp_md *ctx, struct inbound *in)
{
	struct walk w = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};

	if (read_inner(w.data, w.end, w.end - w.data, in) != WAY_IN || !in->early || !is_to_take(flow_of_inbound(in)))
		return false;
	w.at = in->at + ETH_HLEN;
	if (in->congested && !congest(&w, in->eth.h_proto))
		return false;
	return !bpf_xdp_adjust_head(ctx, in->at);
}

/* trace_early is trace, of a frame with nothing around it. */
static __always_inline void trace_early(struct xdp_md *ctx, __u32 vni)
{
	struct walk w = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .at = ETH_HLEN};
	struct traced_flow key = {.vni = vni, .way = WAY_IN, .protocol = IPPROTO_UDP};
	struct tracing *tracing = tracing_of(vni);
	struct ipv6hdr *ip6 = HERE(&w, struct ipv6hdr);
	struct iphdr *ip4 = HERE(&w, struct iphdr);
	struct ethhdr *eth = w.data;
	struct udphdr *udp;

	if (!tracing || !REACHES(&w, ip4))
		return;
	key.ethertype = eth->h_proto;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		key.source = mapped(ip4->saddr);
		key.target = mapped(ip4->daddr);
		w.at += sizeof(*ip4);
	} else {
		if (!REACHES(&w, ip6))
			return;
		__builtin_memcpy(&key.source, &ip6->saddr, sizeof(key.source));
		__builtin_memcpy(&key.target, &ip6->daddr, sizeof(key.target));
		w.at += sizeof(*ip6);
	}
	udp = HERE(&w, struct udphdr);
	if (!REACHES(&w, udp))
		return;
	key.source_port = udp->source;
	key.target_port = udp->dest;
	note(tracing, &key, 1, w.end - w.data);
}
