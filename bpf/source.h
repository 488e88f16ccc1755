/* SPDX-License-Identifier: GPL-2.0 */
/* What a container may send: frames from its own MAC, from its own addresses, and claims about no others. */
#pragma once

#include "shortcut.h"

#define ND_NEIGHBOUR_SOLICITATION  135 /* RFC 4861, section 4 */
#define ND_ROUTER_ADVERTISEMENT    134
#define ND_NEIGHBOUR_ADVERTISEMENT 136
#define ND_REDIRECT                137
#define ND_SOURCE_LINK             1 /* options, section 4.6.1 */
#define ND_TARGET_LINK             2

/* A neighbour solicitation or advertisement, with the option that it usually has. */
struct neighbour {
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	__u8 target[16];
};

struct link_option {
	__u8 type;
	__u8 length; /* in units of 8 bytes */
	__u8 mac[ETH_ALEN];
};

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

/* allows tells whether endpoints of a network may have an address that is nobody's own, such as a virtual one. */
static __always_inline bool allows(const struct port *p, const struct address *a)
{
	struct allowed_key key = {.bits = 8 * (sizeof(key) - sizeof(key.bits)), .vni = bpf_htonl(p->vni), .prefix = *a};

	return bpf_map_lookup_elem(&allowed, &key);
}

static __always_inline bool owns_ip4(const struct port *p, __be32 ip)
{
	struct address a = mapped(ip);

	return (p->ip4 && ip == p->ip4) || allows(p, &a);
}

/* link_local is the address that a container's kernel makes of its MAC (RFC 4291, appendix A). */
static __always_inline bool link_local(const struct port *p, const struct address *a)
{
	return a->word[0] == bpf_htonl(0xfe800000) && !a->word[1] &&
	       a->word[2] == bpf_htonl((__u32)(p->mac[0] ^ 2) << 24 | (__u32)p->mac[1] << 16 | (__u32)p->mac[2] << 8 | 0xff) &&
	       a->word[3] == bpf_htonl(0xfe000000 | (__u32)p->mac[3] << 16 | (__u32)p->mac[4] << 8 | p->mac[5]);
}

static __always_inline bool owns_ip6(const struct port *p, const struct address *a)
{
	bool some = p->ip6.word[0] | p->ip6.word[1] | p->ip6.word[2] | p->ip6.word[3];

	return (some && same_address(&p->ip6, a)) || link_local(p, a) || allows(p, a);
}

static __always_inline enum way may_arp(struct walk *w, const struct port *p)
{
	struct arp *arp = HERE(w, struct arp);
	__be32 sender;

	if (!REACHES(w, arp) || arp->hardware_size != ETH_ALEN || arp->protocol_size != 4)
		return WAY_MALFORMED;
	if (!same_mac(arp->sender_mac, p->mac))
		return WAY_MAC;
	__builtin_memcpy(&sender, arp->sender_ip, sizeof(sender));
	/* Without a sender it only asks whether anybody has an address (RFC 5227). */
	return !sender || owns_ip4(p, sender) ? WAY_KIND : WAY_ADDRESS;
}

/* may_claim judges ICMPv6: what it says of neighbours must be true, and that a container is a router is not. */
static __always_inline enum way may_claim(struct walk *w, const struct port *p)
{
	struct neighbour *n = HERE(w, struct neighbour);
	struct link_option *o;
	struct address target;
	__u8 *type = HERE(w, __u8);

	if (!REACHES(w, type))
		return WAY_MALFORMED;
	if (*type == ND_ROUTER_ADVERTISEMENT || *type == ND_REDIRECT)
		return WAY_ROUTER;
	if (*type != ND_NEIGHBOUR_SOLICITATION && *type != ND_NEIGHBOUR_ADVERTISEMENT)
		return WAY_KIND;
	if (!REACHES(w, n))
		return WAY_MALFORMED;
	__builtin_memcpy(&target, n->target, sizeof(target));
	if (*type == ND_NEIGHBOUR_ADVERTISEMENT && !owns_ip6(p, &target))
		return WAY_ADDRESS;
	w->at += sizeof(*n);
	o = HERE(w, struct link_option);
	if (!REACHES(w, o))
		return WAY_KIND; /* without an option */
	if ((o->type == ND_SOURCE_LINK || o->type == ND_TARGET_LINK) && o->length == 1 && !same_mac(o->mac, p->mac))
		return WAY_MAC;
	return WAY_KIND;
}

static __always_inline enum way may_send_ip6(struct walk *w, const struct port *p)
{
	struct ipv6hdr *ip = HERE(w, struct ipv6hdr);
	bool unspecified, fragment = false;
	struct address source;
	__u8 next;

	if (!REACHES(w, ip))
		return WAY_MALFORMED;
	__builtin_memcpy(&source, &ip->saddr, sizeof(source));
	unspecified = !(source.word[0] | source.word[1] | source.word[2] | source.word[3]);
	if (!unspecified && !owns_ip6(p, &source))
		return WAY_ADDRESS;
	next = ip->nexthdr;
	w->at += sizeof(*ip);
	switch (walk_extensions(w, &next, &fragment)) {
	case PARSED_SHORT:
		return WAY_MALFORMED;
	case PARSED_HIDDEN:
		return WAY_ADDRESS; /* who knows what it claims */
	case PARSED_FOREIGN:
		return unspecified ? WAY_ADDRESS : WAY_IN;
	default:
		break;
	}
	/* Nobody may send neighbour discovery in fragments (RFC 6980), so no kernel takes it. */
	if (next == IPPROTO_ICMPV6)
		return fragment ? WAY_KIND : may_claim(w, p);
	return unspecified ? WAY_ADDRESS : WAY_IN;
}

/* may_send_frame judges a frame of a container's: dropped, the kernel's (WAY_KIND), or one that might take the shortcut (WAY_IN). */
static __always_inline enum way may_send_frame(struct walk *w, const struct port *p)
{
	struct ethhdr *eth = HERE(w, struct ethhdr);
	struct iphdr *ip;

	if (!REACHES(w, eth))
		return WAY_MALFORMED;
	if (!same_mac(eth->h_source, p->mac))
		return WAY_MAC;
	w->at += sizeof(*eth);
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		ip = HERE(w, struct iphdr);
		if (!REACHES(w, ip))
			return WAY_MALFORMED;
		return owns_ip4(p, ip->saddr) ? WAY_IN : WAY_ADDRESS;
	case bpf_htons(ETH_P_IPV6):
		return may_send_ip6(w, p);
	case bpf_htons(ETH_P_ARP):
		return may_arp(w, p);
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return WAY_TAGGED;
	}
	return WAY_KIND;
}
