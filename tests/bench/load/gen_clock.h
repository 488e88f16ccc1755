// SPDX-License-Identifier: GPL-2.0
// When a frame is due: the ring and the schedule of a run.
#pragma once

#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "gen_run.h"
#include "gen_settings.h"

#define ADMIT_MAX 64
#define FRACTION_BITS 20

// account says where the time since the last call went. At the start of a batch it went into receiving the last one.
static __always_inline void account(__u64 now)
{
	__u64 spent;

	if (fresh) {
		fresh = 0;
		self.seen = now;
		self.position = self.given = 0;
	}
	spent = now < run.start || run.done ? 0 : now - self.seen;
	if (self.position == 0) {
		if (self.given)
			run.receiving += spent;
		else
			run.idle += spent;
		self.given = 0;
	} else if (!self.sent) {
		run.idle += spent;
	}
	self.position++;
	if (self.position == settings.batch)
		self.position = 0;
	self.seen = now;
	self.sent = 0;
}

static __always_inline __u64 due(__u64 number)
{
	if (settings.fragments > 1)
		number /= settings.fragments;
	return run.start + (number * run.interval >> FRACTION_BITS);
}

// admit puts frames that have come due into the ring, as a NIC does: what finds it full is lost.
static __always_inline void admit(__u64 now)
{
	for (int i = 0; i < ADMIT_MAX; i++) {
		if (run.next >= run.limit || due(run.next) > now)
			return;
		if (run.tail - run.head >= settings.ring) {
			__u64 all = ((now - run.start) << FRACTION_BITS) / run.interval + 1;

			all *= settings.fragments;
			if (all > run.limit)
				all = run.limit;
			if (all > run.next) {
				run.missed += all - run.next;
				run.next = all;
			}
			return;
		}
		self.ring[run.tail++ & (RING_MAX - 1)] = run.next++;
	}
}

static __always_inline void finish(__u64 at)
{
	if (!run.done && at > run.last)
		run.last = at;
	run.done = 1;
}

// take finds the number of the next frame and the time at which it came.
static __always_inline bool take(__u64 now, __u64 *number, __u64 *came)
{
	if (!run.interval) {
		// A datagram is finished once begun.
		if ((stop || now >= run.deadline) && run.next % settings.fragments == 0) {
			finish(now < run.deadline ? now : run.deadline);
			return false;
		}
		*number = run.next++;
		*came = now;
		return true;
	}
	if (stop && run.limit > run.next)
		run.limit = run.next;
	if (now >= run.start)
		admit(now);
	if (run.head == run.tail) {
		if (run.next >= run.limit)
			finish(run.last);
		return false;
	}
	*number = self.ring[run.head++ & (RING_MAX - 1)];
	*came = due(*number);
	return true;
}
