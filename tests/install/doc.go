// Package install tests what people do with falcon on a machine of theirs: the Debian package with systemd, and every command of the
// documents, read from them. A machine is a lab host with a systemd of its own (machine.sh).
package install
