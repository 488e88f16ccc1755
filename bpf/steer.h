/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hop. A device with an RPS mask of n cores sends a packet to the core of rank hash * n >> 32. A program at the device
 * before it writes the hash, and so chooses the core. Hash 0, when written, counts as a hash that is known, so nobody
 * computes another, and RPS takes it for none: the packet stays.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "maps.h"
#include "skb.h"

/*
 * A veth clears skb->priority. So on their way through one packets have, in the tag, the lower bits of their number, and the bucket
 * in the hash, with the number's other bits: GRO at the container's end merges only what has one hash. Nothing between the NIC
 * and the container looks at any of these but RPS and GRO, and the last program clears all.
 */
#define TAG_NUMBER  0x7fffU
#define NUMBER_HIGH (NUMBERS - 1 - TAG_NUMBER)

/*
 * The mark, before the packet, is what falcon_split writes for falcon_nic: the bucket of where the frame came in, which may have
 * been another core. It is the same for all packets of a flow, for GRO does not merge what differs in it.
 */
#define MARK_FLAG 0xfa1c8000U

static __always_inline bool same(__u32 number, __u32 other)
{
	return ((number ^ other) & (NUMBERS - 1)) == 0;
}

static __always_inline struct core_counts *counts_of(__u32 cpu)
{
	return bpf_map_lookup_elem(&counts, &cpu);
}

static __always_inline struct core_counts *counts_here(void)
{
	return counts_of(bpf_get_smp_processor_id());
}

static __always_inline void account(struct stage_counts *n, struct __sk_buff *skb)
{
	n->packets += packets_of(skb);
	n->bytes += skb->len;
	n->skbs++;
}

static __always_inline struct core *core_of(__u32 slot)
{
	__u32 key = slot & SLOT_MASK;

	return key >= SLOT_NONE ? 0 : bpf_map_lookup_elem(&cores, &key);
}

static __always_inline bool is_here(__u32 slot)
{
	struct core *c = core_of(slot);

	return c && c->cpu == bpf_get_smp_processor_id();
}

static __always_inline __u32 slot_of(__u32 cpu)
{
	struct slot *s = bpf_map_lookup_elem(&slots, &cpu);

	return s && s->slot < SLOT_NONE ? s->slot : SLOT_NONE;
}

/* aim makes RPS send a packet to a core, and keeps some bits for the program there. */
static __always_inline void aim(struct __sk_buff *skb, struct core *c, __u32 bits)
{
	bpf_set_hash(skb, c ? c->hash + (bits & (HASH_SPAN - 1)) : 0);
}

/* aimed gives the bits back. */
static __always_inline bool aimed(struct __sk_buff *skb, __u32 *bits)
{
	struct core *c = core_of(slot_of(bpf_get_smp_processor_id()));

	*bits = c ? bpf_get_hash_recalc(skb) - c->hash : HASH_SPAN;
	return *bits < HASH_SPAN;
}

/* address_container sends a packet to a core for the container's stage, through a veth. */
static __always_inline void address_container(struct __sk_buff *skb, struct core *c, __u32 bucket, __u32 number)
{
	aim(skb, c, (number & NUMBER_HIGH) | bucket);
	skb->tc_index = TAG_FLAG | (number & TAG_NUMBER);
	skb->priority = 0;
}

/* untag makes of a packet one that is not steered. */
static __always_inline void untag(struct __sk_buff *skb)
{
	if (!(skb->tc_index & TAG_FLAG))
		return;
	skb->tc_index = 0;
	skb->priority = 0;
}

/* addressed gives bucket and number of a packet that has come to the container, through a veth or past it (bpf_redirect_peer). */
static __always_inline bool addressed(struct __sk_buff *skb, __u32 *bucket, __u32 *number)
{
	__u32 bits;

	if (!(skb->tc_index & TAG_FLAG))
		return false;
	if (skb->priority) {
		*bucket = skb->tc_index & TAG_BUCKET;
		*number = skb->priority;
		return true;
	}
	if (!aimed(skb, &bits))
		return false;
	*bucket = bits & TAG_BUCKET;
	*number = (bits & NUMBER_HIGH) | (skb->tc_index & TAG_NUMBER);
	return true;
}

static __always_inline void count_hop(struct stage_counts *n, __u32 slot, __u32 want)
{
	n->hops++;
	if ((want & SLOT_SECOND) && slot == (want & SLOT_MASK))
		n->second++;
}
