/* SPDX-License-Identifier: GPL-2.0 */
/* What only the splitting of the first stage needs. */
#pragma once

#include "maps.h"

/* Where frames wait for the core that has their first stage, in the thread that the kernel has for each entry. */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1); /* the number of possible cores */
	__uint(key_size, sizeof(__u32)); /* CPU */
	__uint(value_size, sizeof(struct bpf_cpumap_val));
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* as many as there are flows */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32); /* bucket */
	__type(value, struct split);
} splits SEC(".maps");
