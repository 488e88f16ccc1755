// SPDX-License-Identifier: GPL-2.0
// What is fixed when the program is loaded.
#pragma once

#include <linux/types.h>

// Offsets into a frame, in bytes; 0: the frame has no such field, or it never changes.
struct layout {
	__u32 header;         // length of all headers: where the payload begins
	__u32 length;         // of the longest frame
	__u32 checksum;       // TCP's or UDP's of the flow
	__u32 outer_checksum; // UDP's of the tunnel
	__u32 ident;          // IPv4 identification of a fragment
	__u32 ident_checksum; // of the IPv4 header that it is in
	__u32 ident6;         // IPv6 identification of a fragment
	__u32 sequence;       // TCP's
	__u32 reply;          // innermost IP header of an acknowledgement
};

// Period of each fault in packets of a flow; 0: never.
struct faults {
	__u32 drop, swap, duplicate;
};

struct settings {
	struct layout layout;
	struct faults faults;
	__u32 fragments; // frames that make a datagram
	__u32 slots;     // length of the schedule, in datagrams
	__u32 batch;     // frames that the kernel hands on together
	__u32 ring;      // frames that wait at most, if the rate is fixed
	__u32 payload;   // bytes of a TCP segment
	__u32 window;    // bytes of a TCP stream in flight at most
	__u32 shift;     // window scale of the receivers (RFC 7323)
	__u8 out;        // send through the device; otherwise receive at it
	__u8 tcp;
	__u8 ipv6;
	__u8 pad;
};

const volatile struct settings settings;
