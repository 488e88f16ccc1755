# Boots a Debian machine inside a lab host, with systemd as its first process. Arguments: the directory that is its root, a mount, and its
# cgroup. Ends when the machine does.
set -eu
root=$0 cgroup=$1
mount -t tmpfs -o mode=755 machine "$root/run"
mount -t tmpfs -o mode=1777 machine "$root/tmp"
mkdir "$root/run/lock"
# Of its own, so that what somebody looks for on the machine is not looked for in images.
mkdir -p "$root/var/lib/docker"
mount -t tmpfs -o mode=711 machine "$root/var/lib/docker"

cat /etc/hosts >"$root/etc/hosts"
cat /etc/hostname >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"

# Only the unified hierarchy: systemd manages the machine's part of it.
unified=$(mktemp -d)
mount -t cgroup2 cgroup2 "$unified"
mkdir -p "$unified/$cgroup"
echo $$ >"$unified/$cgroup/cgroup.procs"
umount "$unified"

exec unshare --cgroup --pid --ipc --uts --mount --fork --kill-child sh -euc '
	root=$0
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t sysfs sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount -t bpf bpf "$root/sys/fs/bpf"
	cd "$root"
	mkdir -p mnt
	pivot_root . mnt
	umount -l /mnt
	exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
' "$root"
