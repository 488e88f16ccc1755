// SPDX-License-Identifier: GPL-2.0
// FALCON's pipeline: which core does what for a received packet.
//
//   NIC ─(falcon_nic)─> IP, UDP, VXLAN ─> vxlan device ─(falcon_vxlan)─> bridge ─> host veth
//        chooses the core of the next stage         chooses the core of the last one    │ (falcon_host, egress)
//                                                                                       v
//                                          socket <─ IP, UDP, TCP <─(falcon_arrival)─ container's veth
//
// What takes the shortcut (shortcut.bpf.c) comes from falcon_nic to falcon_host, which then chooses the core of the last stage, or right
// to falcon_arrival.
//
// All of them let every packet pass, and leave it to programs of others that may follow.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "parse.h"
#include "steer.h"
#include "plan.h"
#include "order.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void stay(struct __sk_buff *skb, struct stage_counts *n)
{
	bpf_set_hash(skb, 0);
	n->inlined++;
}

/*
 * stay_hashed keeps a packet on this core with a hash that says so. Before the container's device this costs nothing, and
 * should the container forward the packet, its hash is as good as another for whoever needs one.
 */
static __always_inline void stay_hashed(struct __sk_buff *skb)
{
	aim(skb, core_of(slot_of(bpf_get_smp_processor_id())), bpf_get_hash_recalc(skb));
}

/* pass_on sends a packet to the core of the container's stage. */
static __always_inline void pass_on(struct __sk_buff *skb, struct flow *f, struct passage *p, struct arrival *a,
				    struct stage_counts *n, __u32 bucket, __u32 number)
{
	__u32 slot = settle_container(f, p, a, n);
	struct core *c = core_of(slot);

	/* Packets that GRO has merged bear the number of the first. If others of the bucket came between them, this
	 * is less than the number of the last: too careful, never wrong. */
	p->passed = number + packets_of(skb) - 1;
	address_container(skb, c, bucket, number);
	if (!c || is_here(slot))
		n->inlined++;
	else
		count_hop(n, slot, f->want >> 16);
}

// At tc ingress of the underlay's device.
SEC("tc")
int falcon_nic(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0, bucket, slot;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);
	struct core_counts *here;
	struct network *network;
	struct stage_counts *n;
	struct packet p = {};
	struct passage *passage;
	struct arrival *arrival;
	enum parsed result;
	struct flow *f;
	bool split;
	__u64 now;

	if (!control)
		return TC_ACT_UNSPEC;
	p.seed = control->seed;
	result = parse_packet(skb, &p);
	if (result != PARSED_FLOW && result != PARSED_OTHER)
		return TC_ACT_UNSPEC;
	network = bpf_map_lookup_elem(&networks, &p.vni);
	here = counts_here();
	if (!network || !here)
		return TC_ACT_UNSPEC;
	n = &here->nic;
	account(n, skb);
	split = marked(skb, p.hash, &bucket);
	if (!split)
		bucket = bucket_of(cpu, p.hash);
	f = bpf_map_lookup_elem(&flows, &bucket);
	passage = bpf_map_lookup_elem(&passages, &bucket);
	arrival = bpf_map_lookup_elem(&arrivals, &bucket);
	now = bpf_ktime_get_coarse_ns();
	if (result == PARSED_OTHER || !f || !passage || !arrival || (!split && elsewhere(f, now))) {
		n->missed++;
		skb->tc_index = 0;
		stay(skb, n);
		return TC_ACT_UNSPEC;
	}
	f->want = wanted(control, network, bucket, p.protocol, now, n);
	slot = settle_vxlan(f, passage, arrival, now, n);
	note(f, skb, &p, now);
	if (split)
		__sync_fetch_and_add(&f->taken, packets_of(skb)); /* after all else of f: its next writer may be another core */
	skb->tc_index = TAG_FLAG | bucket;
	if (!core_of(slot)) {
		stay(skb, n);
	} else {
		aim(skb, core_of(slot), p.hash);
		if (is_here(slot))
			n->inlined++;
		else
			count_hop(n, slot, f->want & 0xffff);
	}
	return TC_ACT_UNSPEC;
}

// At tc ingress of a vxlan device.
SEC("tc")
int falcon_vxlan(struct __sk_buff *skb)
{
	__u32 bucket = skb->tc_index & TAG_BUCKET, number = skb->priority, slot;
	struct core_counts *here = counts_here();
	struct stage_counts *n;
	struct arrival *a;
	struct passage *p;
	struct flow *f;

	if (!here)
		return TC_ACT_UNSPEC;
	n = &here->vxlan;
	f = bpf_map_lookup_elem(&flows, &bucket);
	p = bpf_map_lookup_elem(&passages, &bucket);
	a = bpf_map_lookup_elem(&arrivals, &bucket);
	/* What was handed on has lost its priority on the way. */
	if (!(skb->tc_index & TAG_FLAG) || !f || !p || !a || (!number && !aimed(skb, &number))) {
		account(n, skb);
		n->missed++;
		untag(skb); /* falcon_host keeps it here */
		return TC_ACT_UNSPEC;
	}
	if (skb->priority) {
		slot = settle_relay(f, p, a);
		if (slot != SLOT_INLINE && core_of(slot)) {
			aim(skb, core_of(slot), number);
			p->relayed = number + packets_of(skb) - 1;
			n->relays++;
			return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
		}
	}
	account(n, skb);
	p->skbs++;
	pass_on(skb, f, p, a, n, bucket, number);
	return TC_ACT_UNSPEC;
}

/* from_shortcut chooses the core for a packet that falcon_nic has tagged and nobody has seen since. */
static __always_inline bool from_shortcut(struct __sk_buff *skb)
{
	__u32 bucket = skb->tc_index & TAG_BUCKET, number = skb->priority;
	struct flow *f = bpf_map_lookup_elem(&flows, &bucket);
	struct passage *p = bpf_map_lookup_elem(&passages, &bucket);
	struct arrival *a = bpf_map_lookup_elem(&arrivals, &bucket);
	struct core_counts *here = counts_here();

	if (!f || !p || !a || !here)
		return false;
	pass_on(skb, f, p, a, &here->vxlan, bucket, number);
	return true;
}

// At tc egress of a container's veth on the host: whatever goes into the container comes by. What does not come from the
// NIC, or is a copy for several containers, has a hash that would send it anywhere, so it is kept here.
SEC("tc")
int falcon_host(struct __sk_buff *skb)
{
	if ((skb->tc_index & TAG_FLAG) && (!skb->priority || from_shortcut(skb)))
		return TC_ACT_UNSPEC;
	untag(skb);
	stay_hashed(skb);
	return TC_ACT_UNSPEC;
}

// At tc ingress of the container's end, where the last stage begins. Takes off what the packet was marked with.
SEC("tc")
int falcon_arrival(struct __sk_buff *skb)
{
	struct core_counts *here = counts_here();
	__u32 bucket, number;
	struct arrival *a;

	if (!here)
		return TC_ACT_UNSPEC;
	account(&here->container, skb);
	if (addressed(skb, &bucket, &number)) {
		a = bpf_map_lookup_elem(&arrivals, &bucket);
		if (a)
			arrive(a, number + packets_of(skb) - 1, here);
	}
	bpf_set_hash_invalid(skb);
	untag(skb);
	skb->tc_index = 0;
	return TC_ACT_UNSPEC;
}

// At the end of each NAPI poll: what this core was given in it has gone all its way.
SEC("raw_tp/napi_poll")
int falcon_poll(void *ctx)
{
	struct core_counts *here = counts_here();

	if (here)
		here->polls++;
	return 0;
}
