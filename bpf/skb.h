/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/*
 * The tag, in skb->tc_index, tells that a packet is steered. As far as the vxlan device or, past it, the host's end of a container's
 * veth, it names the packet's bucket, and skb->priority has its number. See also TAG_NUMBER.
 */
#define TAG_FLAG   0x8000U
#define TAG_BUCKET 0x7fffU

/* A packet that GRO has not merged has no segments. */
static __always_inline __u32 packets_of(struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}
