/* SPDX-License-Identifier: GPL-2.0 */
/* From a container of this host to another host. */
#pragma once

#include "shortcut.h"

/* What goes between a frame's Ethernet header, which becomes the outer one, and its IP header. */
struct outer {
	struct iphdr ip;
	struct udphdr udp;
	struct vxlanhdr vxlan;
	struct ethhdr eth;
} __attribute__((packed));

/* Source ports are those of the kernel's vxlan devices by default: net.ipv4.ip_local_port_range. */
#define SOURCE_PORT_LEAST 32768U
#define SOURCE_PORTS      28232U

/* header_sum sums the 16-bit words of a header without options (RFC 1071). */
static __always_inline __u16 header_sum(const struct iphdr *ip)
{
	const __u16 *half = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < (int)(sizeof(*ip) / sizeof(*half)); i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* outer_ecn is RFC 6040, section 4.1, normal mode: congestion that was met inside is no news outside. */
static __always_inline __u8 outer_ecn(__u8 inner)
{
	inner &= 3;
	return inner == 3 ? 2 : inner;
}

/* pack puts the outer headers on. Its UDP checksum is 0, as IPv4 allows (RFC 7348, section 5): the inner one stands for it. */
static __always_inline enum way pack(struct __sk_buff *skb, const struct endpoint *to, __u32 vni, __u8 ecn)
{
	struct outer o = {};
	__u32 hash = bpf_get_hash_recalc(skb), length;

	if (bpf_skb_load_bytes(skb, 0, &o.eth, sizeof(o.eth)))
		return WAY_MALFORMED;
	if (bpf_skb_adjust_room(skb, sizeof(o), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
				BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(o.eth)) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH))
		return WAY_REFUSED;
	length = skb->len - ETH_HLEN;
	o.ip.version = 4;
	o.ip.ihl = sizeof(o.ip) / 4;
	o.ip.tos = outer_ecn(ecn);
	o.ip.tot_len = bpf_htons(length);
	o.ip.id = bpf_get_prandom_u32();
	o.ip.ttl = outer_ttl;
	o.ip.protocol = IPPROTO_UDP;
	o.ip.saddr = to->from;
	o.ip.daddr = to->to;
	o.ip.check = header_sum((void *)&o);
	o.udp.source = bpf_htons(SOURCE_PORT_LEAST + ((__u64)hash * SOURCE_PORTS >> 32));
	o.udp.dest = bpf_htons(vxlan_port);
	o.udp.len = bpf_htons(length - sizeof(o.ip));
	o.vxlan.flags = bpf_htonl(VXLAN_HAS_VNI);
	o.vxlan.vni = bpf_htonl(vni << 8);
	/* Who bridges or forwards inside a container may send packets whose sum of all bytes is known (CHECKSUM_COMPLETE). */
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &o, sizeof(o), BPF_F_RECOMPUTE_CSUM))
		return WAY_HOST; /* cannot be: there is room. Half packed it must not go on */
	return WAY_OUT;
}
