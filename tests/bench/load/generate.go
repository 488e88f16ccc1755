package load

// See datapath/generate.go for the -I.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -output-stem gen -output-suffix "" -type layout -type frame -type slot -type sent -type stream -type stream_key gen gen.bpf.c -- -O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
