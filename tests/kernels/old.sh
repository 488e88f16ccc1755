# What somebody meets whose kernel is too old: falcon says so, and most of the plain overlay works.
set -u
ip link add eth0 type veth peer name wire
ip link set wire up
ip link set eth0 up
ip addr add 192.0.2.1/24 dev eth0
ip route add default via 192.0.2.254

says() {
	echo "$ $*"
	"$@"
	echo "exit status $?"
}

says falcon version
falcon serve --steering static --shortcut on --log-format json &
daemon=$!
for _ in $(seq 600); do # a second each tenth, on a machine that is emulated
	falcon status >/dev/null 2>&1 && break
	sleep 0.1
done
says falcon status
says falcon doctor
kill $daemon
says wait $daemon
exec /datapath.test -test.v -test.run '^Test(GuardKeeps|GuardIs|FullMTU|Moves|Changed)' -test.timeout 5m
