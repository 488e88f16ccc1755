// SPDX-License-Identifier: GPL-2.0
// What a run is told, and what it tells.
#pragma once

#include <linux/types.h>

#define RING_MAX 4096 // a power of two

// What user space sets for a run, and what comes of it. Nanoseconds by the monotonic clock.
struct run {
	__u64 start;
	__u64 interval;   // between datagrams, << FRACTION_BITS; 0: no pause
	__u64 limit;      // frames to offer, if there is an interval
	__u64 deadline;   // when to stop, if there is none
	__u64 next;       // frames that have come due
	__u64 missed;     // those that found the ring full
	__u64 last;       // when the last frame left, or the time was over
	__u64 idle;       // time in which no frame was due
	__u64 receiving;  // time in which the kernel received what it had been given
	__u32 head, tail; // of the ring
	__u32 done;
	__u32 pad;
};

struct run run;
volatile __u32 stop;  // set by user space to end a run early
volatile __u32 fresh; // set by user space before a test run

// Of the generator's only thread.
static struct {
	__u64 seen;     // time of the last call
	__u32 position; // in the batch
	__u32 given;    // frames in the batch
	__u32 sent;     // the last call let its frame go
	__u64 ring[RING_MAX];
} self;
