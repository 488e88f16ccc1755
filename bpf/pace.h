/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether datagrams are worth waiting for one another. Where a core is given many, they go through the queue of the container's veth,
 * where GRO chains them; where few, each would wait there for nothing, and goes on in the poll that it came in.
 *
 * So that none overtakes another, a flow changes from the queue to the poll only after a silence that no queue outlasts. The other way
 * there is nothing to wait for: what goes on in the poll has arrived when the next one comes.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

volatile const __u64 quiet = 0; /* ns: longer than any queue can hold a packet; set when the programs are loaded */

volatile const __u64 tick = 0; /* ns: how often the coarse clock moves; set when the programs are loaded */

/* Many are more than one in so many ns: what a container's stack does with each takes a fourth of that. */
#define PACE_MANY 10000

/* What a core is given. */
struct pace {
	__u64 since; /* ns, the coarse clock when it last moved */
	__u32 count; /* of datagrams since */
	__u32 many;  /* were there before */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32); /* 0 */
	__type(value, struct pace);
} paces SEC(".maps");

/* Flows whose hashes fall together are taken for one, and wait more often than they had to. */
struct paced {
	__u64 queued; /* ns: when the last datagram went into the queue */
	/* Where falcon_early looks first: how many it left to falcon_in, how many of those have come there, and when all had, last. */
	__u32 passed;
	__u32 seen;
	__u64 agreed; /* ns */
};

#define PACED_BITS 12

/* Not of each core its own: the core that a flow comes in on changes, as that of an interrupt does, and the queue goes with the flow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PACED_BITS);
	__type(key, __u32); /* the upper bits of a hash */
	__type(value, struct paced);
} paced_flows SEC(".maps");

static __always_inline struct paced *paced_of(__u32 hash)
{
	__u32 key = hash >> (32 - PACED_BITS);

	return bpf_map_lookup_elem(&paced_flows, &key);
}

/* is_past tells whether a time is longer ago than any queue can hold a packet. Another core may have written it since the clock was read. */
static __always_inline bool is_past(__u64 then, __u64 now)
{
	return (__s64)(now - then) > (__s64)quiet;
}

static __always_inline void stamp(__u64 *time, __u64 now)
{
	if (*time != now)
		*time = now;
}

/* many_come counts a datagram and tells whether this core is given many. */
static __always_inline bool many_come(__u64 now)
{
	__u32 zero = 0;
	struct pace *p = bpf_map_lookup_elem(&paces, &zero);

	if (!p)
		return true;
	if (p->since != now) {
		p->many = (__u64)p->count * PACE_MANY > now - p->since;
		p->since = now;
		p->count = 0;
	}
	p->count++;
	return p->many || (__u64)p->count * PACE_MANY > tick;
}

/* is_to_queue tells whether a datagram of a flow, which a hash stands for, is to wait for others: if it must, whatever comes. */
static __always_inline bool is_to_queue(__u32 hash, bool must)
{
	struct paced *p = paced_of(hash);
	__u64 now = bpf_ktime_get_coarse_ns();

	if (p && !many_come(now) && !must && is_past(p->queued, now))
		return false;
	if (p)
		stamp(&p->queued, now);
	return true;
}

/*
 * is_to_take tells whether falcon_early is to put a datagram into the queue, and otherwise notes that it is left to falcon_in. Those that were left
 * before may wait in the device's GRO, so a flow goes into the queue only when all of them have come out: seldom later than with
 * the next poll. What has not come for so long has got lost.
 */
static __always_inline bool is_to_take(__u32 hash)
{
	struct paced *p = paced_of(hash);
	__u64 now = bpf_ktime_get_coarse_ns();
	bool many = many_come(now), agreed;

	if (!p)
		return false;
	agreed = p->passed == p->seen;
	if (!agreed && is_past(p->agreed, now)) {
		p->seen = p->passed;
		agreed = true;
	}
	if (agreed)
		stamp(&p->agreed, now);
	if (!is_past(p->queued, now) || (many && agreed)) {
		stamp(&p->queued, now);
		return true;
	}
	__sync_fetch_and_add(&p->passed, 1);
	return false;
}

/* has_come notes what falcon_early has left, which goes on in the poll that it came in. More than that come when it has just been attached. */
static __always_inline void has_come(__u32 hash)
{
	struct paced *p = paced_of(hash);

	if (p && p->seen != p->passed)
		__sync_fetch_and_add(&p->seen, 1);
}
