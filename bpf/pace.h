/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether datagrams of a flow are worth waiting for one another. Those of a burst go through the queue of the container's veth, where
 * GRO chains them; one that comes alone would wait there for nothing, and goes on in the poll that it came in.
 *
 * So that none overtakes another, a flow changes from the queue to the poll only after a silence that no queue outlasts. The other way
 * there is nothing to wait for: what goes on in the poll has arrived when the next one comes.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

/* Flows that fall together are taken for one: they queue more often than they had to. */
#define PACE_BITS 10

/* Nearer than that, in ns, are datagrams that came in one poll, each after the other had been through the container's stack. */
#define PACE_NEAR 10000

volatile const __u64 quiet = 0; /* ns: longer than any queue can hold a packet; set when the programs are loaded */

struct pace {
	__u64 last; /* when the last datagram came, ns; by the coarse clock in a burst, which costs less */
	__u64 burst;
} __attribute__((aligned(64)));

/* Not of each core its own: the core that a flow comes in on changes, as that of an interrupt does, and the queue goes with the flow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PACE_BITS);
	__type(key, __u32);
	__type(value, struct pace);
} paces SEC(".maps");

/* in_burst notes that a datagram of a flow came, which a hash stands for, and tells whether it belongs to a burst. */
static __always_inline bool in_burst(__u32 hash)
{
	__u32 key = hash >> (32 - PACE_BITS);
	struct pace *p = bpf_map_lookup_elem(&paces, &key);
	__u64 now;

	if (!p)
		return true;
	if (p->burst) {
		now = bpf_ktime_get_coarse_ns();
		if ((__s64)(now - p->last) <= (__s64)quiet) {
			p->last = now;
			return true;
		}
		p->burst = 0;
		p->last = bpf_ktime_get_ns();
		return false;
	}
	now = bpf_ktime_get_ns();
	if (now - p->last < PACE_NEAR) {
		p->burst = 1;
		p->last = bpf_ktime_get_coarse_ns();
		return true;
	}
	p->last = now;
	return false;
}
