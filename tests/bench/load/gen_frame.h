// SPDX-License-Identifier: GPL-2.0
// What all frames have in common.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "gen_maps.h"
#include "gen_run.h"
#include "gen_settings.h"

// The bytes at an offset, which the caller has found to be within the packet.
#define AT(type, data, offset) ((type *)((data) + (offset)))

// count notes a frame as sent.
static __always_inline void count(__u64 now, __u32 flow, __u32 length, __u32 datagrams)
{
	struct sent *c = bpf_map_lookup_elem(&counts, &flow);

	if (c) {
		c->datagrams += datagrams;
		c->frames++;
		c->bytes += length;
	}
	run.last = now;
	self.given++;
	self.sent = 1;
}

static __always_inline int verdict(void)
{
	return settings.out ? XDP_TX : XDP_PASS; // a test run redirects TX to the device it runs at
}
