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
 * The tag, in skb->tc_index, names a packet's bucket to the programs further on. A packet's number is in skb->priority as far as
 * the vxlan device, and from there, since veth clears that, in the lower bits of the hash. Nothing between the NIC and the
 * container looks at any of them but RPS, and the last program clears all.
 */
#define TAG_FLAG   0x8000U
#define TAG_BUCKET 0x7fffU

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

static __always_inline void count_hop(struct stage_counts *n, __u32 slot, __u32 want)
{
	n->hops++;
	if ((want & SLOT_SECOND) && slot == (want & SLOT_MASK))
		n->second++;
}
