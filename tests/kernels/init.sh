#!/bin/busybox sh
# The guest's first process: it prepares the machine, runs what it is to run, tells its exit status and ends the machine.
# What to run comes from the kernel's command line, after "--".
export PATH=/usr/bin:/bin HOME=/ TMPDIR=/tmp CI=true
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracing /sys/kernel/tracing

status=0
for m in /modules/*; do
	insmod "$m" || { echo "insmod $m: failed"; status=120; }
done
ip link set lo up

cd /tmp
if [ $status = 0 ]; then
	"$@"
	status=$?
fi
# What the kernel warned of (512) or died of (128), though the tests may have passed.
if [ $(($(cat /proc/sys/kernel/tainted) & 640)) != 0 ]; then
	dmesg
	status=121
fi

# On a line of its own, whatever was written before.
printf '\nfalcon-kernels: exit status %d\n' $status
sleep 1 # the console is slower than the end of the machine
poweroff -f
