/* SPDX-License-Identifier: GPL-2.0 */
/* From the outer Ethernet header to the inner ports, in any packet that a device can hand up. */
#pragma once

#include "vxlan.h"

struct packet {
	__u32 seed; /* given */
	__u32 vni;
	__u32 hash; /* of the inner flow */
	__u8 mac[6];
	__u16 port; /* of the destination, network order; 0 without */
	__u8 protocol;
};

#define INNER_TAGS    2 /* 802.1Q inside 802.1ad */

/* The farthest that the walk can get: all headers with all their options. */
#define PARSE_MOST (ETH_HLEN + 60 + 8 + 8 + ETH_HLEN + 4 * INNER_TAGS + 60 + 4)

static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	/* One round of MurmurHash3 (Austin Appleby, public domain). */
	word *= 0xcc9e2d51U;
	word = word << 15 | word >> 17;
	hash ^= word * 0x1b873593U;
	hash = hash << 13 | hash >> 19;
	return hash * 5 + 0xe6546b64U;
}

static __always_inline __u32 mixed(__u32 hash)
{
	/* Its finish: every bit of the input decides about every bit of the result. */
	hash ^= hash >> 16;
	hash *= 0x85ebca6bU;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35U;
	return hash ^ hash >> 16;
}

/* walk_ports mixes in the ports of TCP and UDP. */
static __always_inline enum parsed walk_ports(struct walk *w, struct packet *p, __u8 protocol, __u32 *hash)
{
	__be16 *ports = HERE(w, __be16);

	p->protocol = protocol;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return PARSED_FLOW; /* all of two addresses' ICMP, ESP and so on is one flow */
	if (!REACHES(w, ports + 1))
		return PARSED_SHORT;
	p->port = ports[1];
	*hash = mix(mix(*hash, (__u32)ports[0] << 16 | ports[1]), protocol);
	return PARSED_FLOW;
}

static __always_inline enum parsed walk_ip4(struct walk *w, struct packet *p, __u32 *hash)
{
	struct iphdr *ip = HERE(w, struct iphdr);

	if (!REACHES(w, ip))
		return PARSED_SHORT;
	*hash = mix(mix(*hash, ip->saddr), ip->daddr);
	if (ip->ihl < 5)
		return PARSED_OTHER;
	if (ip->frag_off & bpf_htons(IP4_OFFSET | IP4_MORE))
		return PARSED_FLOW; /* only the first fragment has ports, and all are to go the same way */
	w->at += ip->ihl * 4;
	return walk_ports(w, p, ip->protocol, hash);
}

static __always_inline enum parsed walk_ip6(struct walk *w, struct packet *p, __u32 *hash)
{
	struct ipv6hdr *ip = HERE(w, struct ipv6hdr);

	if (!REACHES(w, ip))
		return PARSED_SHORT;
	for (int i = 0; i < 4; i++)
		*hash = mix(mix(*hash, ip->saddr.in6_u.u6_addr32[i]), ip->daddr.in6_u.u6_addr32[i]);
	w->at += sizeof(*ip);
	/* Behind an extension header nothing is looked for: fragments have one, and all are to go the same way. */
	return walk_ports(w, p, ip->nexthdr, hash);
}

/* walk_inner goes from the VXLAN header to the ports. */
static __always_inline enum parsed walk_inner(struct walk *w, struct packet *p)
{
	struct vxlanhdr *vxlan = HERE(w, struct vxlanhdr);
	enum parsed result = PARSED_OTHER;
	struct ethhdr *eth;
	__u32 hash;
	__be16 proto;

	w->at += sizeof(*vxlan);
	eth = HERE(w, struct ethhdr);
	if (!REACHES(w, vxlan) || !REACHES(w, eth))
		return PARSED_SHORT;
	if (!(vxlan->flags & bpf_htonl(VXLAN_HAS_VNI)))
		return PARSED_FOREIGN;
	p->vni = bpf_ntohl(vxlan->vni) >> 8;
	__builtin_memcpy(p->mac, eth->h_dest, sizeof(p->mac));
	if (eth->h_dest[0] & 1)
		return PARSED_OTHER; /* goes to several containers: whether all copies have arrived, nobody can tell */
	proto = eth->h_proto;
	w->at += sizeof(*eth);
	for (int i = 0; i < INNER_TAGS; i++) {
		struct vlanhdr *tag = HERE(w, struct vlanhdr);

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if (!REACHES(w, tag))
			return PARSED_SHORT;
		proto = tag->proto;
		w->at += sizeof(*tag);
	}
	hash = mix(p->seed, p->vni);
	if (proto == bpf_htons(ETH_P_IP))
		result = walk_ip4(w, p, &hash);
	else if (proto == bpf_htons(ETH_P_IPV6))
		result = walk_ip6(w, p, &hash);
	p->hash = mixed(hash);
	return result;
}

static __always_inline enum parsed walk(struct walk *w, __be16 proto, struct packet *p)
{
	enum parsed outer = walk_outer(w, proto), inner;

	if (outer != PARSED_FLOW && outer != PARSED_OTHER)
		return outer;
	inner = walk_inner(w, p);
	return outer == PARSED_OTHER && inner == PARSED_FLOW ? PARSED_OTHER : inner;
}

/* parse finds a packet's network and flow. Not inlined: it is called twice and would be most of the program. */
static __noinline enum parsed parse(struct __sk_buff *skb, struct packet *p)
{
	struct walk w = {.data = (void *)(long)skb->data, .end = (void *)(long)skb->data_end};

	/* The tag is another device's business, except priority tags (VLAN 0). */
	if (skb->vlan_present && (skb->vlan_tci & VLAN_ID))
		return PARSED_FOREIGN;
	return walk(&w, skb->protocol, p);
}

/*
 * parse_packet does so even if the headers are not all in the linear part. Pulling them there costs nothing on top: the
 * stack would be next to do it.
 */
static __always_inline enum parsed parse_packet(struct __sk_buff *skb, struct packet *p)
{
	enum parsed result = parse(skb, p);

	if (result != PARSED_SHORT)
		return result;
	if (bpf_skb_pull_data(skb, skb->len < PARSE_MOST ? skb->len : PARSE_MOST))
		return PARSED_SHORT;
	return parse(skb, p);
}

/* parse_frame does so before there is an skb. A frame with a tag in it is foreign. */
static __always_inline enum parsed parse_frame(struct xdp_md *ctx, struct packet *p)
{
	struct walk w = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct ethhdr *eth = HERE(&w, struct ethhdr);

	if (!REACHES(&w, eth))
		return PARSED_SHORT;
	return walk(&w, eth->h_proto, p);
}
