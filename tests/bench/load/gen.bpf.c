//go:build ignore

// SPDX-License-Identifier: GPL-2.0
// The generator's clock and pen. `generate` is run over and over by live-frame test runs (kernel 5.18). Each time it
// is handed a frame and decides whether one is due: if so it writes the frame anew and lets it go, if not it drops it,
// which costs less than 0.1 us. So the rate is kept here, without user space.
//
// `acknowledge` sits where the receiver's replies come by (tc ingress). It takes TCP acknowledgements of the
// generated streams off the wire and opens the window for `generate`.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define HEADER_MAX 160 // Ethernet 14, IPv6 40, UDP 8, VXLAN 8, Ethernet 14, IPv6 40, fragment 8, TCP 20: 152
#define RING_MAX 4096  // a power of two
#define ADMIT_MAX 64
#define PAYLOAD_WORDS 2
#define FRACTION_BITS 20
#define DUPLICATES 3 // RFC 5681, section 3.2
#define TIMEOUT_NS (20 * 1000 * 1000)

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

// What user space sets for a run, and what comes of it. Nanoseconds by the monotonic clock.
struct run {
	__u64 start;
	__u64 interval;   // between datagrams, << FRACTION_BITS; 0: no pause
	__u64 limit;      // frames to offer, if there is an interval
	__u64 deadline;   // when to stop, if there is none
	__u64 next;       // frames that have come due
	__u64 missed;     // those that found the ring full
	__u64 last;       // when the last frame left, or the time was over
	__u64 idle;       // time in which no frame was due
	__u64 receiving;  // time in which the kernel received what it had been given
	__u32 head, tail; // of the ring
	__u32 done;
	__u32 pad;
};

struct run run;
volatile __u32 stop;  // set by user space to end a run early
volatile __u32 fresh; // set by user space before a test run

// Of the generator's only thread.
static struct {
	__u64 seen;     // time of the last call
	__u32 position; // in the batch
	__u32 given;    // frames in the batch
	__u32 sent;     // the last call let its frame go
	__u64 ring[RING_MAX];
} self;

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

// account says where the time since the last call went. At the start of a batch it went into receiving the last one.
static __always_inline void account(__u64 now)
{
	__u64 spent;

	if (fresh) {
		fresh = 0;
		self.seen = now;
		self.position = self.given = 0;
	}
	spent = now < run.start || run.done ? 0 : now - self.seen;
	if (self.position == 0) {
		if (self.given)
			run.receiving += spent;
		else
			run.idle += spent;
		self.given = 0;
	} else if (!self.sent) {
		run.idle += spent;
	}
	self.position++;
	if (self.position == settings.batch)
		self.position = 0;
	self.seen = now;
	self.sent = 0;
}

static __always_inline __u64 due(__u64 number)
{
	if (settings.fragments > 1)
		number /= settings.fragments;
	return run.start + (number * run.interval >> FRACTION_BITS);
}

// admit puts frames that have come due into the ring, as a NIC does: what finds it full is lost.
static __always_inline void admit(__u64 now)
{
	for (int i = 0; i < ADMIT_MAX; i++) {
		if (run.next >= run.limit || due(run.next) > now)
			return;
		if (run.tail - run.head >= settings.ring) {
			__u64 all = ((now - run.start) << FRACTION_BITS) / run.interval + 1;

			all *= settings.fragments;
			if (all > run.limit)
				all = run.limit;
			if (all > run.next) {
				run.missed += all - run.next;
				run.next = all;
			}
			return;
		}
		self.ring[run.tail++ & (RING_MAX - 1)] = run.next++;
	}
}

static __always_inline void finish(__u64 at)
{
	if (!run.done && at > run.last)
		run.last = at;
	run.done = 1;
}

// take finds the number of the next frame and the time at which it came.
static __always_inline bool take(__u64 now, __u64 *number, __u64 *came)
{
	if (!run.interval) {
		// A datagram is finished once begun.
		if ((stop || now >= run.deadline) && run.next % settings.fragments == 0) {
			finish(now < run.deadline ? now : run.deadline);
			return false;
		}
		*number = run.next++;
		*came = now;
		return true;
	}
	if (stop && run.limit > run.next)
		run.limit = run.next;
	if (now >= run.start)
		admit(now);
	if (run.head == run.tail) {
		if (run.next >= run.limit)
			finish(run.last);
		return false;
	}
	*number = self.ring[run.head++ & (RING_MAX - 1)];
	*came = due(*number);
	return true;
}

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

// The bytes at an offset, which the caller has found to be within the packet.
#define AT(type, data, offset) ((type *)((data) + (offset)))

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

// count notes a frame as sent.
static __always_inline void count(__u64 now, __u32 flow, __u32 length, __u32 datagrams)
{
	struct sent *c = bpf_map_lookup_elem(&counts, &flow);

	if (c) {
		c->datagrams += datagrams;
		c->frames++;
		c->bytes += length;
	}
	run.last = now;
	self.given++;
	self.sent = 1;
}

static __always_inline int verdict(void)
{
	return settings.out ? XDP_TX : XDP_PASS; // a test run redirects TX to the device it runs at
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

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns(), came, number, datagrams;
	struct slot *s;
	__u32 key;

	account(now);
	if (!take(now, &number, &came))
		return XDP_DROP;
	datagrams = number / settings.fragments;
	key = datagrams % settings.slots;
	s = bpf_map_lookup_elem(&schedule, &key);
	if (!s)
		return XDP_ABORTED;
	if (settings.tcp)
		return segment(ctx, s, now);
	return datagram(ctx, s, now, came, number, datagrams / settings.slots);
}

// key_of reads whose acknowledgement a frame is; false: it is no TCP segment.
static __always_inline bool key_of(struct __sk_buff *skb, struct stream_key *key, struct tcphdr *tcp)
{
	__u32 at = settings.layout.reply;
	__u8 protocol;

	if (settings.ipv6) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
			return false;
		__builtin_memcpy(key->local, &ip.saddr, 16);
		__builtin_memcpy(key->remote, &ip.daddr, 16);
		protocol = ip.nexthdr;
		at += sizeof(ip);
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl != 5)
			return false;
		__builtin_memcpy(key->local, &ip.saddr, 4);
		__builtin_memcpy(key->remote, &ip.daddr, 4);
		protocol = ip.protocol;
		at += sizeof(ip);
	}
	if (protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, at, tcp, sizeof(*tcp)))
		return false;
	key->local_port = tcp->source;
	key->remote_port = tcp->dest;
	return true;
}

SEC("tc")
int acknowledge(struct __sk_buff *skb)
{
	struct stream_key key = {};
	struct tcphdr tcp;
	struct stream *s;
	__u32 *flow, acknowledged, edge;

	if (!key_of(skb, &key, &tcp))
		return TC_ACT_UNSPEC;
	flow = bpf_map_lookup_elem(&stream_of, &key);
	if (!flow)
		return TC_ACT_UNSPEC;
	s = bpf_map_lookup_elem(&streams, flow);
	if (!s || !tcp.ack)
		return TC_ACT_SHOT;
	acknowledged = bpf_ntohl(tcp.ack_seq);
	edge = acknowledged + ((__u32)bpf_ntohs(tcp.window) << settings.shift);
	if ((__s32)(acknowledged - s->acknowledged) > 0) {
		s->delivered += acknowledged - s->acknowledged;
		s->acknowledged = acknowledged;
		s->duplicates = 0;
	} else if (acknowledged == s->acknowledged && edge == s->edge) {
		s->duplicates++;
	}
	if ((__s32)(edge - s->edge) > 0)
		s->edge = edge;
	return TC_ACT_SHOT;
}
