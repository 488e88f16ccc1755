/* SPDX-License-Identifier: GPL-2.0 */
/* A VXLAN packet's outer headers. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

volatile const __u16 vxlan_port = 0; /* UDP, of the VXLAN devices; set when the programs are loaded */

enum parsed {
	PARSED_FOREIGN, /* no VXLAN packet on our port */
	PARSED_SHORT,   /* headers go on where a program cannot look: not in the linear part, or not at all */
	PARSED_HIDDEN,  /* behind more headers than are gone through: nobody's, but someone's who hides something */
	PARSED_OTHER,   /* VXLAN, of no flow that could be steered */
	PARSED_FLOW,
};

struct vxlanhdr {
	__be32 flags;
	__be32 vni; /* the upper three bytes */
};

struct vlanhdr {
	__be16 tci;
	__be16 proto;
};

struct fraghdr {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset; /* in units of 8 bytes, and three flags */
	__be32 id;
};

#define VXLAN_HAS_VNI 0x08000000U /* RFC 7348, section 5 */
#define IP4_MORE      0x2000U     /* RFC 791 */
#define IP4_OFFSET    0x1fffU
#define IP6_OFFSET    0xfff8U /* RFC 8200, section 4.5 */
#define IP6_MORE      0x0001U
#define VLAN_ID       0x0fffU

/* A walk over a packet's headers. The offset is kept small in sight of the verifier. */
struct walk {
	void *data, *end;
	__u32 at;
};

#define HERE(walk, type) ((type *)((walk)->data + ((walk)->at & 0xff)))
#define REACHES(walk, pointer) ((void *)((pointer) + 1) <= (walk)->end)

#define EXTENSIONS      6                                           /* of IPv6, that are gone through */
#define EXTENSIONS_ROOM (ETH_HLEN + sizeof(struct ipv6hdr) + 64) /* and how far */

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

/*
 * walk_extensions goes behind the extension headers of IPv6, if there are any, and tells what comes next. FOREIGN is a fragment that
 * has no more than data.
 */
static __always_inline enum parsed walk_extensions(struct walk *w, __u8 *next, bool *fragment)
{
	for (int i = 0; i < EXTENSIONS && is_extension(*next); i++) {
		struct ipv6_opt_hdr *option = HERE(w, struct ipv6_opt_hdr);
		struct fraghdr *f = HERE(w, struct fraghdr);
		bool whole = *next != IPPROTO_FRAGMENT;

		if (!REACHES(w, f)) /* none is shorter */
			return PARSED_SHORT;
		if (!whole && f->offset & bpf_htons(IP6_OFFSET))
			return PARSED_FOREIGN;
		*fragment |= !whole && f->offset & bpf_htons(IP6_MORE);
		*next = option->nexthdr;
		w->at += whole ? (option->hdrlen + 1) * 8 : sizeof(*f);
		if (w->at > EXTENSIONS_ROOM)
			return PARSED_HIDDEN;
	}
	return is_extension(*next) ? PARSED_HIDDEN : PARSED_FLOW;
}

/*
 * walk_outer goes behind the outer UDP header. Of a datagram in fragments it takes the first for OTHER: what the kernel
 * puts together has that one's hash.
 */
static __always_inline enum parsed walk_outer(struct walk *w, __be16 proto)
{
	bool fragment = false;
	enum parsed result;
	struct udphdr *udp;

	w->at = ETH_HLEN;
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = HERE(w, struct iphdr);

		if (!REACHES(w, ip))
			return PARSED_SHORT;
		if (ip->protocol != IPPROTO_UDP || ip->ihl < 5 || ip->frag_off & bpf_htons(IP4_OFFSET))
			return PARSED_FOREIGN;
		fragment = ip->frag_off & bpf_htons(IP4_MORE);
		w->at += ip->ihl * 4;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = HERE(w, struct ipv6hdr);
		__u8 next;

		if (!REACHES(w, ip))
			return PARSED_SHORT;
		next = ip->nexthdr;
		w->at += sizeof(*ip);
		result = walk_extensions(w, &next, &fragment);
		if (result != PARSED_FLOW)
			return result;
		if (next != IPPROTO_UDP)
			return PARSED_FOREIGN;
	} else {
		return PARSED_FOREIGN;
	}
	udp = HERE(w, struct udphdr);
	if (!REACHES(w, udp))
		return PARSED_SHORT;
	if (udp->dest != bpf_htons(vxlan_port))
		return PARSED_FOREIGN;
	w->at += sizeof(*udp);
	return fragment ? PARSED_OTHER : PARSED_FLOW;
}
