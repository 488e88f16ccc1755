// SPDX-License-Identifier: GPL-2.0
// UDP packets: their numbers, with the faults, and what becomes of a frame for one.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen_checksum.h"
#include "gen_frame.h"

#define PAYLOAD_WORDS 2

// The number that the n-th packet of a flow carries: n, but for the faults.
static __always_inline __u64 faulty(__u64 n)
{
	__u32 every = settings.faults.duplicate;

	if (every) {
		__u64 in = n % (every + 1);

		return n / (every + 1) * every + (in == every ? every - 1 : in);
	}
	every = settings.faults.swap;
	if (every) {
		__u64 in = n % every;

		return in == every - 2 ? n + 1 : in == every - 1 ? n - 1 : n;
	}
	every = settings.faults.drop;
	if (every)
		return n / (every - 1) * every + n % (every - 1);
	return n;
}

// stamp writes the number of the packet and the time at which it came into the payload. Of the checksums only the
// innermost need change: it makes up for the change in all that is around it.
static __always_inline void stamp(void *data, struct frame *f, __u32 flow, __u64 number, __u64 came)
{
	__be64 word = f->first ? bpf_cpu_to_be64((__u64)flow << 48 | number) : 0;
	__be64 time = f->first ? bpf_cpu_to_be64(came) : 0;
	__u32 words = words64(word) + words64(time);
	__be64 *payload = AT(__be64, data, settings.layout.header);

	payload[0] = word;
	payload[1] = time;
	if (f->first && settings.layout.checksum)
		adjust(AT(__u16, data, settings.layout.checksum), words, true);
	else if (settings.layout.outer_checksum)
		adjust(AT(__u16, data, settings.layout.outer_checksum), words, true);
}

static __always_inline void identify(void *data, __u32 datagram)
{
	if (settings.layout.ident) {
		__be16 ident = bpf_htons((__u16)datagram);

		*AT(__be16, data, settings.layout.ident) = ident;
		adjust(AT(__u16, data, settings.layout.ident_checksum), ident, false);
	}
	if (settings.layout.ident6) {
		__be32 ident = bpf_htonl(datagram);

		*AT(__be32, data, settings.layout.ident6) = ident;
		if (settings.layout.outer_checksum)
			adjust(AT(__u16, data, settings.layout.outer_checksum), words32(ident), true);
	}
}

static __always_inline int datagram(struct xdp_md *ctx, struct slot *s, __u64 now, __u64 came, __u64 number, __u64 round)
{
	__u32 fragment = number % settings.fragments, key = s->flow * settings.fragments + fragment;
	struct frame *f = bpf_map_lookup_elem(&frames, &key);
	void *data, *end;

	if (!f || bpf_xdp_store_bytes(ctx, 0, f->header, settings.layout.header))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + settings.layout.header + PAYLOAD_WORDS * sizeof(__u64) > end)
		return XDP_ABORTED;
	stamp(data, f, s->flow, faulty(round * s->weight + s->rank), came);
	if (settings.fragments > 1)
		identify(data, number / settings.fragments);
	if (f->length < settings.layout.length && bpf_xdp_adjust_tail(ctx, (int)(f->length - settings.layout.length)))
		return XDP_ABORTED;
	count(now, s->flow, f->length, f->first);
	return verdict();
}
