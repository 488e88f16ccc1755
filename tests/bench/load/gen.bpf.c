//go:build ignore

// SPDX-License-Identifier: GPL-2.0
// The generator's clock and pen. `generate` is run over and over by live-frame test runs (kernel 5.18). Each time it
// is handed a frame and decides whether one is due: if so it writes the frame anew and lets it go, if not it drops it,
// which costs less than 0.1 us. So the rate is kept here, without user space.
//
// `acknowledge` sits where the receiver's replies come by (tc ingress). It takes TCP acknowledgements of the
// generated streams off the wire and opens the window for `generate`.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen_settings.h"
#include "gen_run.h"
#include "gen_maps.h"
#include "gen_clock.h"
#include "gen_udp.h"
#include "gen_tcp.h"
#include "gen_ack.h"

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns(), came, number, datagrams;
	struct slot *s;
	__u32 key;

	account(now);
	if (!take(now, &number, &came))
		return XDP_DROP;
	datagrams = number / settings.fragments;
	key = datagrams % settings.slots;
	s = bpf_map_lookup_elem(&schedule, &key);
	if (!s)
		return XDP_ABORTED;
	if (settings.tcp)
		return segment(ctx, s, now);
	return datagram(ctx, s, now, came, number, datagrams / settings.slots);
}

SEC("tc")
int acknowledge(struct __sk_buff *skb)
{
	struct stream_key key = {};
	struct tcphdr tcp;
	struct stream *s;
	__u32 *flow, acknowledged, edge;

	if (!key_of(skb, &key, &tcp))
		return TC_ACT_UNSPEC;
	flow = bpf_map_lookup_elem(&stream_of, &key);
	if (!flow)
		return TC_ACT_UNSPEC;
	s = bpf_map_lookup_elem(&streams, flow);
	if (!s || !tcp.ack)
		return TC_ACT_SHOT;
	acknowledged = bpf_ntohl(tcp.ack_seq);
	edge = acknowledged + ((__u32)bpf_ntohs(tcp.window) << settings.shift);
	if ((__s32)(acknowledged - s->acknowledged) > 0) {
		s->delivered += acknowledged - s->acknowledged;
		s->acknowledged = acknowledged;
		s->duplicates = 0;
	} else if (acknowledged == s->acknowledged && edge == s->edge) {
		s->duplicates++;
	}
	if ((__s32)(edge - s->edge) > 0)
		s->edge = edge;
	return TC_ACT_SHOT;
}
