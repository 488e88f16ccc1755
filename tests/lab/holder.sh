# Process 1 of a lab host, in namespaces of its own: lays out the host's file system, says "ready", and lives
# until its standard input closes. The other end belongs to the lab's creator, so the host goes when the
# creator does, even by SIGKILL, and takes every process and mount of the host along.
#
# Arguments: the host's directory and its name. In the directory: hosts, the /etc/hosts of the lab; run and tmp,
# which a reboot empties; docker, falcon, etc-docker and etc-falcon, which outlive it. Beside it: bin, the lab's
# programs.
set -eu
dir=$1 name=$2
mount --make-rprivate /
mount -t proc proc /proc
echo "$name" >/proc/sys/kernel/hostname

# What a host changes below /etc, /opt and /var/lib goes to memory, never to the machine's files.
mkdir -p "$dir/scratch"
mount -t tmpfs -o mode=755 lab "$dir/scratch"
for path in etc opt var/lib; do
	mkdir -p "$dir/scratch/$path/upper" "$dir/scratch/$path/work"
	mount -t overlay -o "lowerdir=/$path,upperdir=$dir/scratch/$path/upper,workdir=$dir/scratch/$path/work" lab "/$path"
done

# The engine's overlay2 cannot live on an overlay, as /tmp is where this runs in a container.
if [ "$(stat -f -c %T "$dir")" = overlayfs ]; then
	mount -t tmpfs -o mode=755 lab "$dir/docker"
fi
mkdir -p /var/lib/docker /var/lib/falcon /etc/docker /etc/falcon /opt/lab/bin
mount --bind "$dir/docker" /var/lib/docker
mount --bind "$dir/falcon" /var/lib/falcon
mount --bind "$dir/etc-docker" /etc/docker
mount --bind "$dir/etc-falcon" /etc/falcon
mount --bind "$dir/../bin" /opt/lab/bin

# sysfs shows the network namespace that mounts it; cgroups are the machine's.
mkdir -p "$dir/scratch/cgroup"
mount --rbind /sys/fs/cgroup "$dir/scratch/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$dir/scratch/cgroup" /sys/fs/cgroup
umount -l "$dir/scratch/cgroup"
mount -t bpf bpf /sys/fs/bpf
mount --bind "$dir/run" /run
mkdir -p /run/lock

# No name server is reachable, and the machine's resolv.conf may be a link into the /run just hidden.
rm -f /etc/resolv.conf /etc/hostname
echo "$name" >/etc/hostname
cat "$dir/hosts" >/etc/hosts
: >/etc/resolv.conf

ip link set lo up
# Addresses of a lab are unique: waiting for duplicates would only make the start slow.
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad

# Last, for it hides the lab's directory.
mount --bind "$dir/tmp" /tmp

echo ready
# bash reaps orphans while it waits here.
while read -r _; do :; done
