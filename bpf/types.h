/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs and the daemon share: package datapath is given Go types of all of it by bpf2go. */
#pragma once

#include <linux/types.h>

/* How a network's packets are steered. */
enum mode {
	MODE_OFF, /* not at all: flows that are elsewhere come back */
	MODE_STATIC,
	MODE_DYNAMIC,
	MODES,
};

/*
 * A slot is the number of a core among those that packets may be steered to: its rank in the RPS masks. A placement is
 * a slot for the VXLAN stage (low half) and one for the container stage (high half).
 */
#define SLOT_MASK   0x3fffU
#define SLOT_INLINE SLOT_MASK /* no hop: the stage runs where the one before it ran. In struct flow: not even through a queue */
#define SLOT_NONE   (SLOT_MASK - 1) /* a core that has no slot */
#define SLOT_SECOND 0x4000U   /* flag: not the core that the balancer would have liked best */

#define PLACEMENT_INLINE (SLOT_INLINE << 16 | SLOT_INLINE)

/* A network that is steered. */
struct network {
	__u64 from; /* ns, CLOCK_MONOTONIC: when the mode begins to hold; MODE_OFF does before */
	enum mode mode;
	__u32 direct; /* packets take the shortcut past the vxlan device: only the container's stage has a core to be chosen */
};

/* A core that packets may be steered to. */
struct core {
	__u32 cpu;
	__u32 hash; /* RPS sends packets with a hash from here to HASH_SPAN above it to this core */
};

/* The slot of a CPU; SLOT_INLINE if packets may not be steered to it. */
struct slot {
	__u32 slot;
	__u32 reserved;
};

/* Where the daemon would like to have a bucket's packets, by mode: those above MODE_OFF. */
struct plan {
	__u32 placement[MODES - 1];
	__u32 first; /* the slot for the first stage; SLOT_INLINE: where packets come in */
	__u32 reserved;
};

/*
 * Packets of a flow differ in the lowest bits of the hash from those of others, so that GRO does not take them for one
 * flow's. The span of a core is 2^32 over the number of cores, so this leaves room for 2^10 of them.
 */
#define HASH_SPAN (1U << 20)

/*
 * A bucket of flows that come in on one core, as the NIC's program has it; only that core writes here. Flows of different cores
 * are in different buckets, so all packets of a bucket begin their way on one core, and what is true of the last one is true of
 * all before it. Packets are numbered, modulo NUMBERS.
 */
struct flow {
	__u32 sent;  /* the number of the last packet */
	__u32 want;  /* the placement that the daemon would like */
	__u32 vxlan; /* the slot that packets are sent to now */
	__u32 taken; /* how many packets of those that falcon_split has marked have come this far */
	__u64 last; /* when the last packet came, ns, coarse clock */
	__u64 bytes;
	__u64 skbs; /* fewer than packets where GRO has merged some */
	__u64 held; /* skbs that went the old way because packets before them were still under way */
	/* Whom the last packet was for, so that people can tell what is in a bucket. */
	__u32 vni;
	__u8 mac[6];
	__u16 port; /* TCP's or UDP's, network order; 0 without */
	__u8 protocol;
	__u8 reserved;
	__u16 cpu; /* of the first stage: where packets come in, unless that is split */
} __attribute__((aligned(64)));

/* The same bucket where frames come in, as falcon_split has it. Written by that core. */
struct split {
	__u32 handed; /* how many packets were marked */
	__u32 slot;   /* the core that has the first stage now; SLOT_INLINE: this one */
	__u64 last;   /* when the last packet was marked, ns, coarse clock */
	__u64 moved;  /* packets that were handed to another core */
	__u64 held;   /* packets that went the old way because packets before them were still under way */
	__u32 counting; /* packets are marked */
	__u32 reserved[7];
} __attribute__((aligned(64)));

/* The same bucket at the vxlan device, or where the shortcut past it ends, written by the core that has its stage. */
struct passage {
	__u64 skbs;      /* fewer than at the NIC where GRO has merged some */
	__u32 passed;    /* the number of the last packet that was sent on to the container */
	__u32 container; /* the slot that it was sent to, or SLOT_INLINE: nothing is under way */
	__u32 relay;     /* the slot that packets are handed on to, before their stage begins; SLOT_INLINE: they are not */
	__u32 relayed;   /* the number of the last packet that was */
	__u64 held;
	__u64 reserved[4];
} __attribute__((aligned(64)));

/* And at the container's device. */
struct arrival {
	__u64 last; /* the last packet that the container's stack was given: see ARRIVAL_* */
	__u64 reserved[7];
} __attribute__((aligned(64)));

/* One word, so that whoever reads it on another core has all of one packet: its number, the CPU, and the CPU's poll. */
#define ARRIVAL_NUMBER_BITS 20
#define ARRIVAL_CPU_BITS    14
#define ARRIVAL_POLL_BITS   30

#define NUMBERS HASH_SPAN

/* What one stage did on one core. */
struct stage_counts {
	__u64 packets;
	__u64 bytes;
	__u64 skbs;
	__u64 hops;       /* skbs sent to another core for the next stage */
	__u64 inlined;    /* skbs whose next stage stayed here */
	__u64 second;     /* hops to a second choice */
	__u64 migrations; /* changes of a flow's placement */
	__u64 held;       /* skbs kept on the old way for the sake of order */
	__u64 stale;      /* skbs kept here because the daemon is silent */
	__u64 missed;     /* skbs of ours that belong to no flow: fragments, groups, not IP */
	__u64 relays;     /* skbs handed on, before the stage began, to the core where their flow is to go */
	__u64 reserved;
};

/*
 * What one core did, by the stages of the receive path: what runs on one core without a break. Only that core writes to it.
 */
struct core_counts {
	struct stage_counts driver;    /* of the packets of split flows: the driver alone */
	struct stage_counts nic;       /* driver, GRO, outer IP and UDP, decapsulation */
	struct stage_counts vxlan;     /* GRO cells, bridge, netfilter, veth */
	struct stage_counts container; /* the container's IP, UDP or TCP, socket */
	__u64 polls;                   /* ends of NAPI polls, of any device */
	/* Of the queue in which packets of split flows wait for this core. Other cores write here too, by atomic additions. */
	__u64 queued;
	__u64 unqueued;
	__u64 overflowed; /* packets that found it full, and are lost */
	__u64 reserved[4];
} __attribute__((aligned(64)));

/* What the daemon publishes. */
struct control {
	__u64 published; /* when it last did, ns, CLOCK_MONOTONIC */
	__u32 active;    /* which of the two tables is valid */
	__u32 seed;      /* of the flows' hash, so that nobody outside can aim at a bucket */
	__u32 threads;   /* the ID of the map of that name; 0: nothing is split */
	__u32 reserved;
};

_Static_assert(sizeof(struct flow) == 64, "one cache line");
_Static_assert(sizeof(struct passage) == 64, "one cache line");
_Static_assert(sizeof(struct arrival) == 64, "one cache line");
_Static_assert(sizeof(struct split) == 64, "one cache line");
_Static_assert(sizeof(struct core_counts) == 448, "whole cache lines");
_Static_assert(sizeof(struct control) == 24, "no padding");
