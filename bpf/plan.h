/* SPDX-License-Identifier: GPL-2.0 */
/* What the daemon publishes, and what it is told. */
#pragma once

#include "parse.h"
#include "steer.h"

static __always_inline __u32 bucket_of(__u32 cpu, __u32 hash)
{
	return (cpu & settings.cpu_mask) << settings.bucket_bits | (hash & ((1 << settings.bucket_bits) - 1));
}

/* planned is what the daemon would like to do with a bucket's packets; nothing if it is silent. */
static __always_inline struct plan *planned(struct control *c, __u32 bucket, __u64 now, struct stage_counts *n)
{
	__u32 key = (c->active & 1) * ((settings.cpu_mask + 1) << settings.bucket_bits) + bucket;

	/* The clock is coarse: it may stand a little before the time of publication. */
	if ((__s64)(now - c->published) > (__s64)settings.stale) {
		n->stale++;
		return 0;
	}
	return bpf_map_lookup_elem(&plans, &key);
}

/* mode_of is how a network's packets are steered at the moment. */
static __always_inline __u32 mode_of(const struct network *network, __u64 now)
{
	return (__s64)(now - network->from) < 0 ? MODE_OFF : network->mode;
}

/*
 * without_vxlan is a placement for a network whose packets skip that stage: its core has the container's, which comes next. Datagrams
 * pass a queue on their way there, TCP none.
 */
static __always_inline __u32 without_vxlan(__u32 want, __u8 protocol)
{
	__u32 next = want & 0xffff;

	if (protocol != IPPROTO_UDP)
		return PLACEMENT_INLINE;
	if ((next & SLOT_MASK) == SLOT_INLINE)
		next = want >> 16;
	return next << 16 | SLOT_INLINE;
}

/*
 * wanted is where the daemon would like to have a packet's bucket. Datagrams that stay on their core for the vxlan stage take the
 * way through its own queue, since that takes a hash: with hash 0, GRO at the vxlan device would have all flows in one list of
 * eight, and from the ninth on chain nothing. TCP is merged at the NIC. MODE_OFF is without, for devices may have no masks; so is a
 * daemon's silence, for the next one may bring maps that know of no queue.
 */
static __always_inline __u32 wanted(struct control *c, const struct network *network, __u32 bucket, __u8 protocol, __u64 now,
				    struct stage_counts *n)
{
	__u32 mode = mode_of(network, now), want, here;
	struct plan *plan = mode == MODE_OFF ? 0 : planned(c, bucket, now, n);

	if (!plan)
		return PLACEMENT_INLINE;
	want = plan->placement[(mode - 1) % (MODES - 1)];
	if (network->direct)
		want = without_vxlan(want, protocol);
	here = slot_of(bpf_get_smp_processor_id());
	if ((want & SLOT_MASK) == SLOT_INLINE && protocol == IPPROTO_UDP && here < SLOT_NONE)
		want = (want & ~SLOT_MASK) | here;
	return want;
}

/* note numbers a packet and keeps what the balancer and people want to know of its flow. */
static __always_inline void note(struct flow *f, struct __sk_buff *skb, const struct packet *p, __u64 now)
{
	__u32 number = f->sent + 1;

	/* 0 is no number (see falcon_vxlan), and a packet's is not to change when numbers begin anew. */
	number += !number;
	skb->priority = number;
	f->sent = number + packets_of(skb) - 1;
	f->last = now;
	f->bytes += skb->len;
	f->skbs++;
	f->vni = p->vni;
	__builtin_memcpy(f->mac, p->mac, sizeof(f->mac));
	f->port = p->port;
	f->protocol = p->protocol;
	f->cpu = bpf_get_smp_processor_id();
}

/* elsewhere tells whether a bucket is another core's at the moment, since its first stage is split. That core's clock may be ahead. */
static __always_inline bool elsewhere(struct flow *f, __u64 now)
{
	return f->cpu != bpf_get_smp_processor_id() && (__s64)(now - *(volatile __u64 *)&f->last) <= (__s64)settings.quiet;
}

/* marked gives the bucket that falcon_split has marked a packet with. */
static __always_inline bool marked(struct __sk_buff *skb, __u32 hash, __u32 *bucket)
{
	__u32 *mark = (void *)(long)skb->data_meta;

	if ((void *)(mark + 1) > (void *)(long)skb->data || (*mark & ~TAG_BUCKET) != MARK_FLAG)
		return false;
	/* Metadata of others that happens to look like it is of another flow. */
	if ((*mark ^ hash) & ((1 << settings.bucket_bits) - 1))
		return false;
	*bucket = *mark & TAG_BUCKET;
	return true;
}
