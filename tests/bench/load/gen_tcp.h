// SPDX-License-Identifier: GPL-2.0
// TCP segments: the window and what is sent again.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen_checksum.h"
#include "gen_frame.h"

#define DUPLICATES 3 // RFC 5681, section 3.2
#define TIMEOUT_NS (20 * 1000 * 1000)

static __always_inline void go_back(struct stream *s, __u64 now)
{
	s->recover = s->next;
	s->next = s->acknowledged;
	s->timer = now;
	s->retransmits++;
}

// may_send says whether the window has room. After a loss the stream goes back to where it happened, and when nothing
// has happened for long it sends one segment more than the window allows, lest an acknowledgement was lost.
static __always_inline bool may_send(struct stream *s, __u64 now)
{
	__u32 acknowledged = s->acknowledged, room = acknowledged + settings.window;
	__s32 left;
	bool idle;

	if ((__s32)(acknowledged - s->next) > 0)
		s->next = acknowledged; // gone back too far: the receiver had kept what followed the loss
	idle = s->next == acknowledged;
	if ((__s32)(s->edge - room) < 0)
		room = s->edge;
	if (s->seen != acknowledged) {
		s->seen = acknowledged;
		s->timer = now;
	}
	if (!idle && s->duplicates >= DUPLICATES && (__s32)(acknowledged - s->recover) >= 0)
		go_back(s, now);
	left = room - s->next;
	if (left >= (__s32)settings.payload) {
		if (idle)
			s->timer = now;
		return true;
	}
	if (now - s->timer < TIMEOUT_NS)
		return false;
	go_back(s, now);
	return true;
}

static __always_inline int segment(struct xdp_md *ctx, struct slot *slot, __u64 now)
{
	struct stream *s = bpf_map_lookup_elem(&streams, &slot->flow);
	struct frame *f = bpf_map_lookup_elem(&frames, &slot->flow);
	void *data, *end;
	__be32 sequence;

	if (!s || !f)
		return XDP_ABORTED;
	if (!may_send(s, now)) {
		s->held++;
		return XDP_DROP;
	}
	if (bpf_xdp_store_bytes(ctx, 0, f->header, settings.layout.header))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + settings.layout.header > end)
		return XDP_ABORTED;
	sequence = bpf_htonl(s->next);
	*AT(__be32, data, settings.layout.sequence) = sequence;
	adjust(AT(__u16, data, settings.layout.checksum), words32(sequence), false);
	s->next += settings.payload;
	count(now, slot->flow, f->length, 1);
	return verdict();
}
