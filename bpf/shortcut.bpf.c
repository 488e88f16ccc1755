// SPDX-License-Identifier: GPL-2.0
// The shortcut: packets between containers go past outer IP and UDP, vxlan device, GRO cells, bridge and a backlog.
//
//   NIC ─(falcon_in)──────────────────────────────────────────────────────> container's veth
//    ^                                                                            │
//    └──────────────────────────────────────(falcon_out)── host's end of the veth <┘──> another container's veth
//
// Where many datagrams come in, a container's stack gets chains: they go by the queue of its veth, where GRO makes them (pace.h).
// TCP is merged at the NIC already.
//
// Where people have asked for it, falcon_early takes those at the NIC's driver: no sk_buff is made of their outer packet.
//
// What is not plainly known to be between two endpoints of one network, or is of a kind that needs more, goes the kernel's way,
// which is complete by itself. So whatever the maps lack makes packets slower, not lost.
//
// The host's netfilter sees no packet that takes the shortcut. In its place the programs check, whatever way a packet is to go,
// that it comes from a host of the network (falcon_in), and that a container sends as itself (falcon_out).
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "shortcut.h"
#include "decap.h"
#include "early.h"
#include "encap.h"
#include "pace.h"
#include "source.h"
#include "trace.h"

char LICENSE[] SEC("license") = "GPL";

/* Called twice, so not inlined. */
static __noinline enum parsed outer_of(struct __sk_buff *skb, struct inbound *in)
{
	return read_outer((void *)(long)skb->data, (void *)(long)skb->data_end, skb->protocol, in);
}

static __noinline enum way inner_of(struct __sk_buff *skb, struct inbound *in)
{
	enum way way = read_inner((void *)(long)skb->data, (void *)(long)skb->data_end, skb->len, in);

	/* A socket that has not asked for it would be given a merged datagram, of which it cannot tell that it came out of a tunnel. */
	return way == WAY_IN && skb->gso_size && in->protocol != IPPROTO_TCP ? WAY_KIND : way;
}

/* The farthest that is looked at on the way in. */
#define INBOUND_MOST \
	(EXTENSIONS_ROOM + sizeof(struct udphdr) + sizeof(struct vxlanhdr) + ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct udphdr))

/* take unpacks a packet of a network if it may take the shortcut. */
static __always_inline enum way take(struct __sk_buff *skb, struct inbound *in)
{
	enum way way;

	if (!bpf_map_lookup_elem(&hosts, &in->host))
		return WAY_HOST;
	if (in->unusual || skb->pkt_type != 0 /* PACKET_HOST */)
		return WAY_HEADER;
	way = inner_of(skb, in);
	if (way == WAY_MALFORMED && !bpf_skb_pull_data(skb, skb->len < INBOUND_MOST ? skb->len : INBOUND_MOST))
		way = inner_of(skb, in);
	return way == WAY_IN ? unpack(skb, in) : way;
}

/* At tc ingress of the underlay's device, after falcon_nic. */
SEC("tc")
int falcon_in(struct __sk_buff *skb)
{
	struct inbound in = {};
	__u32 unknown = NO_NETWORK, flow;
	struct traffic *t;
	enum parsed outer;
	enum way way;
	bool steered;

	/* The tag is another device's business, except priority tags (VLAN 0). */
	if (skb->vlan_present && (skb->vlan_tci & VLAN_ID))
		return TC_ACT_UNSPEC;
	outer = outer_of(skb, &in);
	if (outer == PARSED_SHORT) {
		if (!bpf_skb_pull_data(skb, skb->len < INBOUND_MOST ? skb->len : INBOUND_MOST))
			outer = outer_of(skb, &in);
	}
	if (outer == PARSED_FOREIGN)
		return TC_ACT_UNSPEC;
	if (outer != PARSED_FLOW) {
		t = bpf_map_lookup_elem(&traffics, &unknown);
		if (!t)
			return TC_ACT_UNSPEC;
		/* What hides its network could be of any, so it ends here. No sender's fragments are so short, or headers so many. */
		way = in.fragment || outer == PARSED_HIDDEN ? WAY_HOST : WAY_MALFORMED;
		count(skb, skb->len, t, way);
		return verdict(way);
	}
	t = bpf_map_lookup_elem(&traffics, &in.host.vni);
	if (!t)
		return TC_ACT_UNSPEC;
	way = take(skb, &in);
	count(skb, skb->len, t, way);
	trace(skb, in.host.vni, way == WAY_IN ? 0 : in.at, way);
	if (way != WAY_IN)
		return verdict(way);
	if (!in.chained)
		return bpf_redirect_peer(in.port, 0);
	/* What is steered comes to falcon_host by the queue only. It is noted there, for its flow may not be steered any more in a moment. */
	steered = skb->tc_index & TAG_FLAG;
	flow = flow_of_inbound(&in);
	if (in.early && !steered) {
		has_come(flow);
		return bpf_redirect_peer(in.port, 0);
	}
	if (!is_to_queue(flow, steered))
		return bpf_redirect_peer(in.port, 0);
	/* GRO sorts flows by their hash, which falcon_host chooses if the packet is steered. */
	if (!steered)
		bpf_set_hash(skb, flow);
	return bpf_redirect(in.port, 0);
}

// At the driver of the underlay's device: plain datagrams of networks that are not steered, where many come (pace.h). They go to the queue of the
// container's veth, where the kernel makes sk_buffs of them and GRO chains those. All else comes by at falcon_in.
SEC("xdp")
int falcon_early(struct xdp_md *ctx)
{
	struct inbound in = {};
	struct traffic *t;

	if (!read_early(ctx, &in))
		return XDP_PASS;
	t = bpf_map_lookup_elem(&traffics, &in.host.vni);
	if (!t || !bpf_map_lookup_elem(&hosts, &in.host))
		return XDP_PASS;
	if (!finish_early(ctx, &in))
		return XDP_PASS;
	t->ways[WAY_IN].packets++;
	t->ways[WAY_IN].bytes += ctx->data_end - ctx->data;
	trace_early(ctx, in.host.vni);
	return bpf_redirect(in.port, 0);
}

#define OUTBOUND_MOST 0xff
#define FAMILY_IPV4   2 /* AF_INET */

/* A frame that a container may send. */
struct outbound {
	struct endpoint to;
	__u32 length; /* of the longest packet that it becomes on the wire, from its IP header on */
	__u8 ecn;
};

/* wire_length is how long the packets are that a merged one is taken apart into; 0: of a kind that is left to the kernel. */
static __always_inline __u32 wire_length(struct __sk_buff *skb, struct walk *w, const struct inner *ip)
{
	struct tcphdr *tcp = HERE(w, struct tcphdr);

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (ip->protocol == IPPROTO_UDP)
		return ip->header + sizeof(struct udphdr) + skb->gso_size;
	if (ip->protocol != IPPROTO_TCP || !REACHES(w, tcp))
		return 0;
	return ip->header + tcp->doff * 4 + skb->gso_size;
}

/* judge tells what is to become of a frame. Called twice, so not inlined. */
static __noinline enum way judge(struct __sk_buff *skb, struct port *port, struct outbound *out)
{
	struct walk w = {.data = (void *)(long)skb->data, .end = (void *)(long)skb->data_end};
	struct endpoint_key key = {.vni = port->vni};
	struct ethhdr *eth = HERE(&w, struct ethhdr);
	struct endpoint *to;
	enum way way = may_send_frame(&w, port);
	struct inner ip = {};

	if (way != WAY_IN)
		return way;
	if (!REACHES(&w, eth))
		return WAY_MALFORMED;
	if (eth->h_dest[0] & 1)
		return WAY_GROUP;
	__builtin_memcpy(key.mac, eth->h_dest, sizeof(key.mac));
	to = bpf_map_lookup_elem(&endpoints, &key);
	if (!to)
		return WAY_UNKNOWN;
	w.at = ETH_HLEN;
	way = read_ip(&w, eth->h_proto, to, skb->len - ETH_HLEN, &ip);
	if (way != WAY_IN)
		return way;
	w.at += ip.header;
	out->ecn = ip.ecn;
	out->length = wire_length(skb, &w, &ip);
	out->to = *to;
	if (!out->length)
		return WAY_KIND;
	return to->port ? WAY_LOCAL : WAY_OUT;
}

#define IP_MOST 0xffffU

/* fits tells whether a frame can go on its way with the outer headers. The device's MTU may have changed since the daemon looked. */
static __always_inline bool fits(struct __sk_buff *skb, const struct outbound *out)
{
	__u32 length = out->length + sizeof(struct outer);

	return length <= out->to.mtu && skb->len + sizeof(struct outer) - ETH_HLEN <= IP_MOST &&
	       !bpf_check_mtu(skb, out->to.device, &length, 0, 0);
}

/* send gets a container's frame ready for its way. */
static __always_inline enum way send(struct __sk_buff *skb, struct port *port, struct outbound *out)
{
	__u32 most = skb->len < OUTBOUND_MOST ? skb->len : OUTBOUND_MOST;
	enum way way;

	if (skb->vlan_present)
		return WAY_TAGGED;
	way = judge(skb, port, out);
	if (way == WAY_MALFORMED && !bpf_skb_pull_data(skb, most))
		way = judge(skb, port, out);
	if (way == WAY_LOCAL) {
		if (out->to.port == skb->ifindex)
			return WAY_UNKNOWN;
		return out->length > out->to.mtu ? WAY_SIZE : WAY_LOCAL;
	}
	if (way != WAY_OUT)
		return way;
	if (!out->to.device)
		return WAY_UNKNOWN;
	return fits(skb, out) ? pack(skb, &out->to, port->vni, out->ecn) : WAY_SIZE;
}

/* leave sends a packet to another host. If no router is in between, no route has to be looked up. */
static __always_inline int leave(const struct endpoint *to)
{
	struct bpf_redir_neigh hop = {.nh_family = FAMILY_IPV4, .ipv4_nh = to->to};

	return to->on_link ? bpf_redirect_neigh(to->device, &hop, sizeof(hop), 0) : bpf_redirect_neigh(to->device, 0, 0, 0);
}

/* At tc ingress of the host's end of a container's veth. */
SEC("tc")
int falcon_out(struct __sk_buff *skb)
{
	__u32 device = skb->ifindex, before;
	struct port *port = bpf_map_lookup_elem(&ports, &device);
	struct outbound out = {};
	struct traffic *t;
	enum way way;

	if (!port)
		return TC_ACT_UNSPEC;
	t = bpf_map_lookup_elem(&traffics, &port->vni);
	if (!t)
		return TC_ACT_UNSPEC;
	way = send(skb, port, &out);
	before = way == WAY_OUT ? sizeof(struct outer) : 0; /* that its frame begins */
	count(skb, skb->len - before, t, way);
	trace(skb, port->vni, before, way);
	switch (way) {
	case WAY_LOCAL:
		bpf_skb_change_type(skb, 0 /* PACKET_HOST: it is for another device's MAC */);
		return bpf_redirect_peer(out.to.port, 0);
	case WAY_OUT:
		return leave(&out.to);
	default:
		return verdict(way);
	}
}
