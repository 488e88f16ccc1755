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

/*
 * When a flow's last datagram went into the queue, ns. Flows whose hashes fall together are taken for one, and queue more often than they had to.
 * Not of each core its own: the core that a flow comes in on changes, as that of an interrupt does, and the queue goes with the flow.
 */
#define QUEUED_BITS 12

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << QUEUED_BITS);
	__type(key, __u32); /* the upper bits of a hash */
	__type(value, __u64);
} queued SEC(".maps");

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
	__u32 key = hash >> (32 - QUEUED_BITS);
	__u64 *last = bpf_map_lookup_elem(&queued, &key), now = bpf_ktime_get_coarse_ns();

	/* Another core may have written it since the clock was read. */
	if (last && !many_come(now) && !must && (__s64)(now - *last) > (__s64)quiet)
		return false;
	if (last && *last != now)
		*last = now;
	return true;
}
