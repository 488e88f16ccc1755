// SPDX-License-Identifier: GPL-2.0
// FALCON's softirq splitting: the driver's core only takes frames from the ring. Another core makes packets of them, merges
// those of a flow (GRO) and goes on with the first stage.
//
//   driver ─(falcon_split, XDP)─> queue ─> thread of another core: skb, GRO ─(falcon_nic)─> IP, UDP, VXLAN ─> ...
//
// Worth it for TCP, whose many frames become few packets in GRO: nearly all of its work is in the first stage.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "order.h"
#include "parse.h"
#include "plan.h"
#include "split.h"
#include "steer.h"

char LICENSE[] SEC("license") = "GPL";

/* mark writes the bucket where falcon_nic finds it, which not every driver has room for. */
static __always_inline bool mark(struct xdp_md *ctx, __u32 bucket)
{
	__u32 *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return false;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return false;
	*meta = MARK_FLAG | bucket;
	return true;
}

// At the driver of the underlay's device. Frames with several buffers are none of its business, so none is ever seen.
SEC("xdp")
int falcon_split(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0, bucket, slot = SLOT_INLINE;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);
	struct core_counts *here = counts_here();
	struct stage_counts *n;
	struct network *network;
	struct packet p = {};
	struct arrival *a;
	struct core *core;
	struct split *s;
	struct plan *plan;
	struct flow *f;
	__u64 now;

	if (!control || !here)
		return XDP_PASS;
	p.seed = control->seed;
	if (parse_frame(ctx, &p) != PARSED_FLOW || p.protocol != IPPROTO_TCP)
		return XDP_PASS;
	network = bpf_map_lookup_elem(&networks, &p.vni);
	if (!network)
		return XDP_PASS;
	bucket = bucket_of(cpu, p.hash);
	s = bpf_map_lookup_elem(&splits, &bucket);
	f = bpf_map_lookup_elem(&flows, &bucket);
	a = bpf_map_lookup_elem(&arrivals, &bucket);
	if (!s || !f || !a)
		return XDP_PASS;
	n = &here->driver;
	now = bpf_ktime_get_coarse_ns();
	plan = mode_of(network, now) == MODE_OFF ? 0 : planned(control, bucket, now, n);
	if (plan)
		slot = plan->first & SLOT_MASK;
	/* All of a flow's packets, also while they stay: GRO takes what is marked otherwise for another flow's. */
	if (!mark(ctx, bucket))
		return XDP_PASS;
	slot = settle_first(s, f, a, slot, now, n);
	s->handed++;
	s->last = now;
	n->packets++;
	n->bytes += (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	n->skbs++;
	core = core_of(slot);
	if (!core || core->cpu == cpu) {
		n->inlined++;
		return XDP_PASS;
	}
	n->hops++;
	s->moved++;
	return bpf_redirect_map(&threads, core->cpu, XDP_PASS);
}

static __always_inline bool ours(__u32 map)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);

	return control && control->threads == map;
}

// When a driver's core has put frames, up to eight, into a core's queue: (map, queued, dropped, core).
SEC("raw_tp/xdp_cpumap_enqueue")
int falcon_queued(struct bpf_raw_tracepoint_args *ctx)
{
	struct core_counts *there = counts_of(ctx->args[3]);

	if (!there || !ours(ctx->args[0]))
		return 0;
	__sync_fetch_and_add(&there->queued, (__u32)ctx->args[1]);
	if (ctx->args[2])
		__sync_fetch_and_add(&there->overflowed, (__u32)ctx->args[2]);
	return 0;
}

// When a core's thread has taken frames from its queue: (map, taken, without memory for an skb, ...).
SEC("raw_tp/xdp_cpumap_kthread")
int falcon_unqueued(struct bpf_raw_tracepoint_args *ctx)
{
	struct core_counts *here = counts_here();

	if (!here || !ours(ctx->args[0]))
		return 0;
	here->unqueued += (__u32)ctx->args[1];
	if (ctx->args[2])
		__sync_fetch_and_add(&here->overflowed, (__u32)ctx->args[2]);
	return 0;
}
