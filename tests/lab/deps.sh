#!/bin/bash
# Installs what the lab, the tests and `make generate` need and this Debian machine lacks. It installs
# nothing that is there in another form (docker-ce's dockerd does as well), removes no package, and starts no
# service. When nothing is missing it takes no time and needs no root.
set -euo pipefail

PATH=/usr/local/go/bin:$PATH
go_wanted=1.26 # of go.mod

# A command or file, and the package that has it.
needs=(
	dockerd docker.io
	docker docker.io
	docker-compose docker-compose
	etcd etcd-server
	busybox busybox-static
	iperf3 iperf3
	iptables iptables
	nft nftables
	tcpdump tcpdump
	ethtool ethtool
	ip iproute2
	ping iputils-ping
	ps procps
	nsenter util-linux
	mount mount
	bpftool bpftool
	sockperf sockperf # the benchmark
	wrk wrk
	promtool prometheus # checks alerts and metrics
	docker-registry docker-registry
	/lib/systemd/systemd systemd # machines of tests/install
	dbus-daemon dbus
	mmdebstrap mmdebstrap # the image that the Dockerfile builds in
	dpkg-deb dpkg
	nginx nginx-light
	memcached memcached
	qemu-system-x86_64 qemu-system-x86 # the kernel matrix; apt downloads its kernels, and none is installed
	make make
	git git
	/etc/ssl/certs/ca-certificates.crt ca-certificates # go fetches modules
	gcc gcc                                             # go test -race
	/usr/include/stdlib.h libc6-dev
	clang-19 clang-19 # make generate
	llvm-strip-19 llvm-19
	/usr/include/bpf/bpf_helpers.h libbpf-dev
	/usr/include/linux/bpf.h linux-libc-dev
)

have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	# An ordinary user's PATH lacks the sbin directories.
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
	esac
}

missing_packages() {
	local i
	for ((i = 0; i < ${#needs[@]}; i += 2)); do
		have "${needs[i]}" || echo "${needs[i + 1]}"
	done | sort -u
}

# at_least A B: version A is B or newer.
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n1)" = "$2" ]; }

go_is_new_enough() {
	local version
	version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//') || true
	[ -n "$version" ] || return 1
	at_least "$version" "$go_wanted" && return
	# From 1.21 on, go fetches the version that go.mod asks for, unless it is told not to.
	at_least "$version" 1.21 && [ "$(cd / && go env GOTOOLCHAIN)" != local ]
}

# install_go puts a Go that is new enough into /usr/local/go, where the Makefile looks first. Debian 12's own is too
# old to build with and new enough to fetch the other: Go publishes its toolchains as modules, from which the
# executable bits are missing.
install_go() {
	[ ! -e /usr/local/go ] || {
		echo "deps: /usr/local/go is older than $go_wanted: update it, or remove it and run this again" >&2
		return 1
	}
	have go || install golang-go
	echo "deps: installing go $go_wanted into /usr/local/go"
	local module dir
	module=golang.org/toolchain@v0.0.1-go$go_wanted.0.linux-$(dpkg --print-architecture)
	(cd / && go mod download "$module")
	dir=$(cd / && go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	cp -r "$dir" /usr/local/go
	chmod -R u+w /usr/local/go
	find /usr/local/go/bin /usr/local/go/pkg/tool -type f -exec chmod 755 {} +
}

# install PACKAGE...: without starting or enabling the services that come along.
install() {
	local policy=/usr/sbin/policy-rc.d
	[ "$(id -u)" = 0 ] || { echo "deps: missing: $*; run as root to install them" >&2; return 1; }
	echo "deps: installing $*; no service is started"
	[ ! -e $policy ] || mv $policy $policy.deps
	trap "rm -f $policy; [ ! -e $policy.deps ] || mv $policy.deps $policy" EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy

	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	apt-get -qq install --yes --no-install-recommends --no-remove "$@" >/dev/null
	[ ! -d /run/systemd/system ] || disable "$@"
}

# disable PACKAGE...: the services of newly installed packages, which the next boot would start.
disable() {
	local units
	case " $* " in *" docker.io "*) units+=" docker.service docker.socket containerd.service" ;; esac
	case " $* " in *" etcd-server "*) units+=" etcd.service" ;; esac
	case " $* " in *" docker-registry "*) units+=" docker-registry.service" ;; esac
	case " $* " in *" prometheus "*) units+=" prometheus.service" ;; esac
	# shellcheck disable=SC2086 # a list of words
	[ -z "${units:-}" ] || systemctl --quiet disable $units
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || install "${missing[@]}"
go_is_new_enough || install_go
