/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Order. A flow may go to another core only so that none of its packets overtakes another. Each queue on the way is first in,
 * first out, so it is enough to know where the last packet is:
 *
 *   NIC's core n ──────> vxlan stage on x ──────> container stage on y
 *        sent                  passed                  retired
 *
 * y changes, at the vxlan device, when all that passed has retired. Until then packets go on to y. What takes the shortcut past that
 * device passes the host's end of the container's veth instead, on n: x is n.
 *
 * x changes, at the NIC, while y stays as it is:
 *  - if the vxlan stage is on n itself, by way of its queue (a slot) or without (SLOT_INLINE), when all that was sent has passed:
 *    n does one thing after the other, so all of it is in y's queue by now. In a core that is never idle this is so at the
 *    beginning of each poll of the NIC, unless the queue holds more than is worked on between two polls.
 *  - from another core x, which may be so full that its queue is never empty, by a detour: x hands packets on to the new core
 *    before it works on them. What it has worked on is in y's queue before it hands on the next. When all that was sent
 *    has passed at the new core, packets can be sent there directly, behind the others.
 *
 * n itself changes, where the driver's core hands packets to another one for the first stage (falcon_split), when all that the
 * driver has handed on has been taken up there, and the last of it has retired. The driver marks and counts all packets that may
 * be handed on; of those from before it began to, the first that is counted is the last to be in order with.
 *
 * Both change at once when nothing can be under way any more: when the last packet has retired, or was sent so long ago that
 * no queue can still hold it.
 */
#pragma once

#include "steer.h"

#define ARRIVAL_MASK(bits) ((1ULL << (bits)) - 1)

/* arrive keeps the number of a packet that the container's stack is being given. */
static __always_inline void arrive(struct arrival *a, __u32 number, const struct core_counts *here)
{
	__u64 cpu = bpf_get_smp_processor_id() & ARRIVAL_MASK(ARRIVAL_CPU_BITS), poll = here->polls;

	*(volatile __u64 *)&a->last = (number & ARRIVAL_MASK(ARRIVAL_NUMBER_BITS)) | cpu << ARRIVAL_NUMBER_BITS |
				      poll << (ARRIVAL_NUMBER_BITS + ARRIVAL_CPU_BITS);
}

/*
 * retired tells whether a packet's way is over: what was given to a container's stack is worked on until the poll ends. A count
 * of polls that is read too old says no.
 */
static __always_inline bool retired(struct arrival *a, __u32 number)
{
	__u64 last = *(volatile __u64 *)&a->last, over;
	struct core_counts *c;

	if (!same(last, number))
		return false;
	c = counts_of(last >> ARRIVAL_NUMBER_BITS & ARRIVAL_MASK(ARRIVAL_CPU_BITS));
	if (!c)
		return false;
	over = (*(volatile __u64 *)&c->polls - (last >> (ARRIVAL_NUMBER_BITS + ARRIVAL_CPU_BITS))) & ARRIVAL_MASK(ARRIVAL_POLL_BITS);
	return over > 0 && over < 1ULL << (ARRIVAL_POLL_BITS - 1);
}

/* reset is for a bucket that has nothing under way. */
static __always_inline void reset(struct flow *f, struct passage *p)
{
	p->passed = f->sent;
	p->relay = SLOT_INLINE;
	p->container = SLOT_INLINE;
}

/* may_send tells whether the next packet may go to another slot than the last. Called at the NIC. */
static __always_inline bool may_send(struct flow *f, struct passage *p, struct arrival *a, __u32 slot)
{
	__u32 here = slot_of(bpf_get_smp_processor_id());

	if (retired(a, f->sent))
		return true;
	if (!same(*(volatile __u32 *)&p->passed, f->sent))
		return false;
	if (f->vxlan == SLOT_INLINE || is_here(f->vxlan)) /* where no slot is known for y, it is where x is */
		return p->container < SLOT_NONE || slot == SLOT_INLINE || is_here(slot);
	return p->relay < SLOT_NONE && p->relay == (slot == SLOT_INLINE ? here : slot);
}

/* settle_first gives the slot of the core for the first stage of the next frame. Called where the driver runs. */
static __always_inline __u32 settle_first(struct split *s, struct flow *f, struct arrival *a, __u32 slot, __u64 now,
					  struct stage_counts *n)
{
	if (!s->counting || now - s->last > settings.stale)
		s->handed = *(volatile __u32 *)&f->taken; /* what was lost on the way is not under way */
	if (!s->counting) {
		s->counting = 1;
		s->slot = SLOT_INLINE;
		return SLOT_INLINE;
	}
	if (s->slot == slot)
		return slot;
	/*
	 * The last packet's number is that of the last one handed on only if it is read after taken: hence the barrier. When it came
	 * may be after now, which was read before.
	 */
	if (s->handed != __sync_fetch_and_add(&f->taken, 0) ||
	    !(retired(a, *(volatile __u32 *)&f->sent) || (__s64)(now - *(volatile __u64 *)&f->last) > (__s64)settings.quiet)) {
		s->held++;
		n->held++;
		return s->slot;
	}
	s->slot = slot;
	n->migrations++;
	return slot;
}

/* settle_vxlan gives the slot of the core for the vxlan stage of the next packet. */
static __always_inline __u32 settle_vxlan(struct flow *f, struct passage *p, struct arrival *a, __u64 now, struct stage_counts *n)
{
	__u32 slot = f->want & SLOT_MASK;

	if (now - f->last > settings.quiet)
		reset(f, p);
	else if (f->vxlan == slot)
		return slot;
	else if (!may_send(f, p, a, slot)) {
		f->held++;
		n->held++;
		return f->vxlan;
	}
	if (f->vxlan != slot) {
		f->vxlan = slot;
		p->relay = SLOT_INLINE;
		n->migrations++;
	}
	return slot;
}

/* settle_relay gives the slot that a packet which the first stage's core has sent here is to be handed on to; SLOT_INLINE: none. */
static __always_inline __u32 settle_relay(struct flow *f, struct passage *p, struct arrival *a)
{
	__u32 vxlan = *(volatile __u32 *)&f->vxlan, want = *(volatile __u32 *)&f->want & SLOT_MASK, to = want;
	__u32 first = slot_of(*(volatile __u16 *)&f->cpu);

	/* From that core itself no detour is needed, and may_send counts on there being none. */
	if (vxlan == SLOT_INLINE || vxlan == first)
		return SLOT_INLINE;
	if (want == vxlan)
		to = SLOT_INLINE;
	else if (want == SLOT_INLINE)
		to = first;
	if (to == SLOT_NONE || is_here(to))
		to = SLOT_INLINE;
	if (p->relay != to && (p->relay == SLOT_INLINE || retired(a, p->relayed)))
		p->relay = to;
	return p->relay;
}

/* settle_container gives the slot of the core for the container stage of the next packet. */
static __always_inline __u32 settle_container(struct flow *f, struct passage *p, struct arrival *a, struct stage_counts *n)
{
	__u32 slot = *(volatile __u32 *)&f->want >> 16 & SLOT_MASK;

	if (slot == SLOT_INLINE)
		slot = slot_of(bpf_get_smp_processor_id());
	if (p->container == slot)
		return slot;
	if (p->container != SLOT_INLINE && !retired(a, p->passed)) {
		p->held++;
		n->held++;
		return p->container;
	}
	if (p->container != SLOT_INLINE)
		n->migrations++;
	p->container = slot;
	return slot;
}
