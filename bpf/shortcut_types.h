/* SPDX-License-Identifier: GPL-2.0 */
/* What the shortcut's programs and the daemon share: package datapath is given Go types of all of it by bpf2go. */
#pragma once

#include <linux/types.h>

/* An IPv6 address, or an IPv4 one as IPv6 writes it (::ffff:a.b.c.d); network order. */
struct address {
	__u32 word[4];
};

/* An endpoint, by where packets for it come from the inside. */
struct endpoint_key {
	__u32 vni;
	__u8 mac[6];
	__u16 reserved;
};

struct endpoint {
	/* One of each family at most: packets for any other go the kernel's way. Zero: none. */
	__be32 ip4;
	struct address ip6;
	__u32 port; /* of this host: the index of the host's end of its veth; 0: of another host */
	__u32 chains; /* datagrams are to go through that end, since the other one has GRO chain them */
	__u32 early;  /* and it takes frames that no sk_buff was made of (falcon_early) */
	/* Of another host: */
	__u32 device;  /* through which that host is reached; 0: not known, so it is the kernel's business */
	__u32 on_link; /* no router is between, so that no route has to be looked up */
	__be32 from;   /* outer addresses */
	__be32 to;
	__u32 mtu; /* of the path, bytes, outer IP header included */
};

/* The underlay's device, at whose driver falcon_early is. */
struct nic {
	__u8 mac[6];
	__u16 reserved;
};

/* A host of a network. */
struct host_key {
	__u32 vni;
	struct address address;
};

/* The host's end of an endpoint's veth, by index. */
struct port {
	__u32 vni;
	__u8 mac[6];
	__u16 reserved;
	__be32 ip4;
	struct address ip6;
};

/* A prefix from which all endpoints of a network may send besides their own addresses. */
struct allowed_key {
	__u32 bits; /* of all that follows */
	__be32 vni;
	struct address prefix;
};

/*
 * What becomes of a packet, and why. All that is below WAY_KERNEL took the shortcut, all from WAY_DROPPED on ends here, and the
 * rest goes to the devices of the kernel's way.
 */
enum way {
	WAY_IN,    /* from another host to a container */
	WAY_OUT,   /* from a container to another host */
	WAY_LOCAL, /* from one container to another */

	WAY_KERNEL,
	WAY_GROUP = WAY_KERNEL, /* for several: broadcast, multicast */
	WAY_UNKNOWN,            /* for nobody that is known, or not with this address */
	WAY_KIND,               /* of a kind that is left to the kernel: ARP, ND, IP options, not IP */
	WAY_HEADER,             /* outer headers with anything unusual: fragments, options, VXLAN flags */
	WAY_SIZE,               /* too long for the path, so that the sender has to be told */
	WAY_REFUSED,            /* the kernel did not want to change the packet */
	WAY_MALFORMED,          /* headers that contradict one another, or end early */

	WAY_DROPPED,
	WAY_HOST = WAY_DROPPED, /* from a host that is none of the network's */
	WAY_MAC,                /* a container sends from another MAC than its own */
	WAY_ADDRESS,            /* or from another address, or answers for one */
	WAY_TAGGED,             /* or with a VLAN tag, behind which its address is not looked for */
	WAY_ROUTER,             /* or says that it is a router */
	WAYS,
};

struct way_count {
	__u64 packets;
	__u64 bytes;
};

/* What became of a network's packets on one core. */
struct traffic {
	struct way_count ways[WAYS];
};

/* Whose packets are traced: those of one network, as long as it takes. */
struct tracing {
	__u64 until; /* ns, CLOCK_MONOTONIC; 0: nobody's */
	__u64 lost;  /* packets of flows for which there was no room */
	__u32 vni;
	__u32 reserved;
};

/* A flow's packets that go one way. What a packet does not have, or does not show, is 0. */
struct traced_flow {
	__u32 vni;
	__be16 ethertype;
	__u8 way;      /* enum way */
	__u8 protocol; /* IP's */
	__be16 source_port;
	__be16 target_port;
	struct address source;
	struct address target;
};

struct traced {
	__u64 packets;
	__u64 bytes; /* of inner frames; one header for all that is merged */
};
