// SPDX-License-Identifier: GPL-2.0
// Acknowledgements of the generated streams, as their receiver sends them.
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "gen_maps.h"
#include "gen_settings.h"

// key_of reads whose acknowledgement a frame is; false: it is no TCP segment.
static __always_inline bool key_of(struct __sk_buff *skb, struct stream_key *key, struct tcphdr *tcp)
{
	__u32 at = settings.layout.reply;
	__u8 protocol;

	if (settings.ipv6) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
			return false;
		__builtin_memcpy(key->local, &ip.saddr, 16);
		__builtin_memcpy(key->remote, &ip.daddr, 16);
		protocol = ip.nexthdr;
		at += sizeof(ip);
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl != 5)
			return false;
		__builtin_memcpy(key->local, &ip.saddr, 4);
		__builtin_memcpy(key->remote, &ip.daddr, 4);
		protocol = ip.protocol;
		at += sizeof(ip);
	}
	if (protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, at, tcp, sizeof(*tcp)))
		return false;
	key->local_port = tcp->source;
	key->remote_port = tcp->dest;
	return true;
}
