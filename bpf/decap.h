/* SPDX-License-Identifier: GPL-2.0 */
/* From the underlay to a container of this host. */
#pragma once

#include "shortcut.h"

/* A VXLAN packet for one of our networks. */
struct inbound {
	struct host_key host;
	struct endpoint_key endpoint;
	struct ethhdr eth; /* of the inner packet */
	__u16 at;          /* where that is */
	__u32 port;        /* the endpoint's */
	__u8 protocol;     /* of the inner IP packet */
	bool chained;      /* goes through GRO at the endpoint's device */
	bool early;        /* falcon_early has looked at it */
	__be16 source;     /* the outer source port: bits of the inner flow (RFC 7348, section 5) */
	bool fragment;     /* the first of a datagram's */
	bool unusual;      /* outer headers that are left to the kernel */
	bool congested;    /* RFC 3168: CE in the outer header */
	bool summed;       /* the outer UDP header has a checksum */
};

/* Of linux/bpf.h, since kernel 6.3; an earlier one refuses them. */
#define DECAP_L3_IPV4 (1ULL << 7)
#define DECAP_L3_IPV6 (1ULL << 8)

/* flow_of_inbound stands for a flow: the sender has put bits of it into the source port. An odd number is no missing hash. */
static __always_inline __u32 flow_of_inbound(const struct inbound *in)
{
	return (((__u32)in->source ^ in->port << 16) * 0x9e3779b1U) | 1;
}

/* read_outer finds the network and who sent it. */
static __always_inline enum parsed read_outer(void *data, void *end, __be16 proto, struct inbound *in)
{
	struct walk w = {.data = data, .end = end, .at = ETH_HLEN};
	struct ipv6hdr *ip6 = HERE(&w, struct ipv6hdr);
	struct iphdr *ip4 = HERE(&w, struct iphdr);
	enum parsed result = walk_outer(&w, proto);
	struct vxlanhdr *vxlan = HERE(&w, struct vxlanhdr);
	struct walk back = w;
	struct udphdr *udp;

	back.at -= sizeof(*udp);
	udp = HERE(&back, struct udphdr);
	if (result != PARSED_FLOW && result != PARSED_OTHER)
		return result;
	in->fragment = result == PARSED_OTHER;
	if (!REACHES(&w, vxlan) || !REACHES(&back, udp))
		return PARSED_SHORT;
	in->summed = udp->check;
	in->source = udp->source;
	in->unusual = in->fragment || vxlan->flags != bpf_htonl(VXLAN_HAS_VNI) || vxlan->vni & bpf_htonl(0xff);
	if (proto == bpf_htons(ETH_P_IP)) {
		if (!REACHES(&w, ip4))
			return PARSED_SHORT;
		in->host.address = mapped(ip4->saddr);
		in->unusual |= ip4->ihl != 5;
		in->congested = (ip4->tos & ECN_MASK) == ECN_MASK;
	} else {
		if (!REACHES(&w, ip6))
			return PARSED_SHORT;
		__builtin_memcpy(&in->host.address, &ip6->saddr, sizeof(in->host.address));
		in->unusual |= ip6->nexthdr != IPPROTO_UDP;
		in->congested = (ip6->flow_lbl[0] >> 4 & ECN_MASK) == ECN_MASK;
	}
	in->host.vni = in->endpoint.vni = bpf_ntohl(vxlan->vni) >> 8;
	in->at = w.at + sizeof(*vxlan);
	return vxlan->flags & bpf_htonl(VXLAN_HAS_VNI) ? PARSED_FLOW : PARSED_FOREIGN;
}

/* read_inner tells whether a packet of so many bytes could take the shortcut, and to which endpoint. */
static __always_inline enum way read_inner(void *data, void *end, __u32 length, struct inbound *in)
{
	struct walk w = {.data = data, .end = end, .at = in->at};
	struct ethhdr *eth = HERE(&w, struct ethhdr);
	struct inner ip = {};
	struct endpoint *e;
	enum way way;

	if (!REACHES(&w, eth))
		return WAY_MALFORMED;
	if (eth->h_dest[0] & 1)
		return WAY_GROUP;
	in->eth = *eth;
	__builtin_memcpy(in->endpoint.mac, eth->h_dest, sizeof(in->endpoint.mac));
	w.at += sizeof(*eth);
	e = bpf_map_lookup_elem(&endpoints, &in->endpoint);
	if (!e || !e->port)
		return WAY_UNKNOWN;
	way = read_ip(&w, in->eth.h_proto, e, length - w.at, &ip);
	if (way == WAY_IN && in->congested && !(ip.ecn & ECN_MASK))
		return WAY_HEADER; /* RFC 6040, section 4.2: the kernel drops it */
	in->port = e->port;
	in->protocol = ip.protocol;
	/* GRO chains no fragments. */
	in->chained = e->chains && ip.protocol == IPPROTO_UDP && !ip.fragment;
	if (way == WAY_IN && in->chained && e->early && length - w.at <= e->mtu) {
		struct udphdr *udp;

		w.at += ip.header;
		udp = HERE(&w, struct udphdr);
		if (!REACHES(&w, udp))
			return WAY_MALFORMED;
		/* The outer checksum of what is taken at the driver is not looked at, so what it covers must have one of its own. */
		in->early = udp->check || !in->summed;
	}
	return way;
}

/* checksum_known tells whether what a device has verified is the inner checksum, as it is when the packet is unpacked. */
static __always_inline bool checksum_known(struct __sk_buff *skb, const struct inbound *in)
{
	__s64 level = bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY);

	if (level < 0)
		return false;
	if (!in->summed)
		return true;
	return level > 0 && !bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
}

/* unpack makes of it what the container's device would have received. */
static __always_inline enum way unpack(struct __sk_buff *skb, const struct inbound *in)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	struct ethhdr *eth;

	if (in->eth.h_proto != skb->protocol) /* kernel 6.3 */
		flags |= in->eth.h_proto == bpf_htons(ETH_P_IP) ? DECAP_L3_IPV4 : DECAP_L3_IPV6;
	if (checksum_known(skb, in))
		flags |= BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	/* The outer Ethernet header stays, and becomes the inner one. */
	if (bpf_skb_adjust_room(skb, -(__s32)in->at, BPF_ADJ_ROOM_MAC, flags))
		return WAY_REFUSED;
	eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return WAY_HOST; /* cannot be: it is long enough. Half unpacked it must not go on */
	*eth = in->eth;
	if (in->congested)
		bpf_skb_ecn_set_ce(skb);
	return WAY_IN;
}
