# Boots a Debian machine inside a lab host: systemd is its first process, and what it changes of its root is in memory.
# Arguments: a directory for that, the root, and the machine's cgroup. Ends when the machine does.
set -eu
dir=$0 debian=$1 cgroup=$2
root=$dir/root
mkdir -p "$dir"
mount -t tmpfs -o mode=755 machine "$dir"
mkdir "$dir/upper" "$dir/work" "$root"
mount -t overlay -o "lowerdir=$debian,upperdir=$dir/upper,workdir=$dir/work" machine "$root"
# The engine's overlay2 cannot live on an overlay.
mkdir -p "$root/var/lib/docker"
mount -t tmpfs -o mode=711 machine "$root/var/lib/docker"
mount -t tmpfs -o mode=755 machine "$root/run"
mount -t tmpfs -o mode=1777 machine "$root/tmp"
mkdir "$root/run/lock"

rm -f "$root/etc/machine-id"
cat /etc/hosts >"$root/etc/hosts"
cat /etc/hostname >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"

# Only the unified hierarchy: systemd manages the machine's part of it.
unified=$dir/unified
mkdir "$unified"
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
