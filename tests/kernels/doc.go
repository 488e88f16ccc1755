// Package kernels runs the tests of package datapath on the kernels that Debian 12 has, each in a virtual machine of
// eight CPUs that qemu emulates. So the programs meet verifiers and devices other than those of the machine at hand, and
// steering has more cores to choose from than most machines that build.
//
//	apt ─(download)─> out/kernels/6.1/{vmlinuz, modules/} ─┐
//	go test -c ./datapath ─────────────────────────────────┼─> initramfs ─> qemu ─> console ─> result
//	ip, nft, ping and what they link ──────────────────────┘
//
// It promises: nothing is installed, nothing of the host's network or kernel is touched, no privilege is needed, and a
// kernel that cannot be had fails the test.
package kernels
