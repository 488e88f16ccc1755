// SPDX-License-Identifier: GPL-2.0
// Checksums, brought up to date for the words that changed.
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u32 words32(__u32 v)
{
	return (v & 0xffff) + (v >> 16);
}

static __always_inline __u32 words64(__u64 v)
{
	return words32((__u32)v) + words32(v >> 32);
}

// adjust adds words to a checksum whose field stood at zero in their place (RFC 1624, equation 3).
static __always_inline void adjust(__u16 *checksum, __u32 words, bool udp)
{
	__u32 sum = (__u16)~*checksum + words;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*checksum = ~sum;
	if (udp && !*checksum)
		*checksum = 0xffff; // RFC 768: zero means none
}
