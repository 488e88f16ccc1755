// SPDX-License-Identifier: GPL-2.0
// The tables of flows: what they send, when, and what became of it.
#pragma once

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define HEADER_MAX 160 // Ethernet 14, IPv6 40, UDP 8, VXLAN 8, Ethernet 14, IPv6 40, fragment 8, TCP 20: 152

// The headers of one fragment of one flow, valid with a payload and variable fields of zeros.
struct frame {
	__u8 header[HEADER_MAX];
	__u32 length; // of the frame
	__u32 first;  // has the transport header and the stamp
};

// A place in the schedule: the rank-th of weight packets that a flow sends per round.
struct slot {
	__u32 flow, rank, weight;
};

struct sent {
	__u64 datagrams, frames, bytes;
};

// State of a TCP stream, RFC 9293's SND.UNA, SND.UNA + SND.WND and SND.NXT.
struct stream {
	// Written by acknowledge.
	__u32 acknowledged;
	__u32 edge;
	__u32 duplicates; // acknowledgements since the last that acknowledged anything
	__u32 pad;
	__u64 delivered; // bytes acknowledged
	// Written by generate.
	__u32 next;
	__u32 recover; // end of what had been sent at the last loss (RFC 6582)
	__u32 seen;    // acknowledged, when timer was set
	__u32 pad2;
	__u64 timer;
	__u64 retransmits; // times that the stream went back
	__u64 held;        // frames not sent, because the window was shut
};

struct stream_key {
	__u8 local[16], remote[16]; // as the receiver calls them
	__be16 local_port, remote_port;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frame);
	__uint(max_entries, 1);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct slot);
	__uint(max_entries, 1);
} schedule SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct sent);
	__uint(max_entries, 1);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct stream);
	__uint(max_entries, 1);
} streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct stream_key);
	__type(value, __u32);
	__uint(max_entries, 1);
} stream_of SEC(".maps");
