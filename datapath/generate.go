package datapath

// The -I is for asm/types.h, which clang's bpf target looks for in no directory of its own; the one that is of
// another machine is skipped. The objects are the same on all little-endian machines.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem guard -output-suffix "" guard ../bpf/guard.bpf.c -- -O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem steer -output-suffix "" -type mode -type network -type core -type slot -type plan -type flow -type passage -type arrival -type stage_counts -type core_counts -type control steer ../bpf/steer.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem split -output-suffix "" -type split split ../bpf/split.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem shortcut -output-suffix "" -type way -type address -type endpoint_key -type endpoint -type host_key -type nic -type paced -type port -type allowed_key -type traffic -type tracing -type traced_flow -type traced shortcut ../bpf/shortcut.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
