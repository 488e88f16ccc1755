/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* A packet that GRO has not merged has no segments. */
static __always_inline __u32 packets_of(struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}
