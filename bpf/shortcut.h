/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "shortcut_types.h"
#include "skb.h"
#include "vxlan.h"

#define NO_NETWORK 0xffffffffU /* in the place of a VNI: packets of which it cannot be told */

volatile const __u8 outer_ttl = 64; /* set when the programs are loaded */

/* Entries take memory only when they are there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct host_key);
	__type(value, __u32);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* index of a device */
	__type(value, struct port);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct allowed_key);
	__type(value, __u32);
} allowed SEC(".maps");

/* Of the networks whose packets are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* VNI */
	__type(value, struct traffic);
} traffics SEC(".maps");

static __always_inline void count(struct __sk_buff *skb, __u32 length, struct traffic *t, enum way way)
{
	struct way_count *n = &t->ways[way < WAYS ? way : WAY_MALFORMED];

	n->packets += packets_of(skb);
	n->bytes += length;
}

/* verdict is for what does not take the shortcut. */
static __always_inline int verdict(enum way way)
{
	return way < WAY_DROPPED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

static __always_inline bool same_address(const struct address *a, const void *b)
{
	const __u32 *w = b;

	return a->word[0] == w[0] && a->word[1] == w[1] && a->word[2] == w[2] && a->word[3] == w[3];
}

static __always_inline struct address mapped(__be32 ip4)
{
	return (struct address){{0, 0, bpf_htonl(0xffff), ip4}};
}

/* What is to be known of an IP packet that may take the shortcut. */
struct inner {
	__u8 protocol;
	__u8 ecn; /* in the lowest two bits */
	__u8 header; /* bytes of it */
	bool fragment;
};

/* plain_ip4 tells whether a packet has no options, which are left to the kernel. fits is how long it may be at most. */
static __always_inline enum way plain_ip4(const struct iphdr *ip, __u32 fits)
{
	__u32 length = bpf_ntohs(ip->tot_len);

	if (ip->version != 4 || ip->ihl < 5 || length > fits || (length && length < ip->ihl * 4))
		return WAY_MALFORMED; /* a length of 0 is that of a merged packet beyond 64 KB */
	return ip->ihl > 5 ? WAY_KIND : WAY_IN;
}

/* plain_ip6 wants TCP or UDP, in fragments at most: what is neither may be neighbour discovery, or hidden behind other headers. */
static __always_inline enum way plain_ip6(const struct walk *w, const struct ipv6hdr *ip, __u32 fits, struct inner *inner)
{
	const struct fraghdr *f = (const void *)(ip + 1);

	if (ip->version != 6 || bpf_ntohs(ip->payload_len) + sizeof(*ip) > fits)
		return WAY_MALFORMED;
	*inner = (struct inner){ip->nexthdr, ip->flow_lbl[0] >> 4, sizeof(*ip), ip->nexthdr == IPPROTO_FRAGMENT};
	if (inner->fragment) {
		if (!REACHES(w, f))
			return WAY_MALFORMED;
		inner->protocol = f->nexthdr;
	}
	return inner->protocol == IPPROTO_TCP || inner->protocol == IPPROTO_UDP ? WAY_IN : WAY_KIND;
}

/* Of IPv4 on Ethernet (RFC 826). */
struct arp {
	__be16 hardware, protocol;
	__u8 hardware_size, protocol_size;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
} __attribute__((packed));

#define ECN_MASK 3

/* read_ip tells whether an IP packet, of so many bytes at most, could take the shortcut to an endpoint. */
static __always_inline enum way read_ip(struct walk *w, __be16 proto, const struct endpoint *to, __u32 fits, struct inner *inner)
{
	struct ipv6hdr *ip6 = HERE(w, struct ipv6hdr);
	struct iphdr *ip4 = HERE(w, struct iphdr);
	enum way way;
	bool theirs;

	if (proto == bpf_htons(ETH_P_IP)) {
		if (!REACHES(w, ip4))
			return WAY_MALFORMED;
		way = plain_ip4(ip4, fits);
		theirs = ip4->daddr == to->ip4;
		*inner = (struct inner){ip4->protocol, ip4->tos, sizeof(*ip4), ip4->frag_off & bpf_htons(IP4_OFFSET | IP4_MORE)};
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		if (!REACHES(w, ip6))
			return WAY_MALFORMED;
		way = plain_ip6(w, ip6, fits, inner);
		theirs = same_address(&to->ip6, &ip6->daddr);
	} else {
		return WAY_KIND;
	}
	return way == WAY_IN && !theirs ? WAY_UNKNOWN : way;
}
