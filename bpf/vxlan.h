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

/*
 * walk_outer goes behind the outer UDP header. Of a datagram in fragments it takes the first for OTHER: what the kernel
 * puts together has that one's hash.
 */
static __always_inline enum parsed walk_outer(struct walk *w, __be16 proto)
{
	bool fragment = false;
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
		if (next == IPPROTO_FRAGMENT) {
			struct fraghdr *f = HERE(w, struct fraghdr);

			if (!REACHES(w, f))
				return PARSED_SHORT;
			if (f->offset & bpf_htons(IP6_OFFSET))
				return PARSED_FOREIGN;
			fragment = f->offset & bpf_htons(IP6_MORE);
			next = f->nexthdr;
			w->at += sizeof(*f);
		}
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
