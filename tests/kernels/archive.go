package kernels

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// File types of cpio, as of stat.
const (
	typeDirectory = 0o040000
	typeRegular   = 0o100000
	typeCharacter = 0o020000
	typeMask      = 0o170000
)

// archive writes the format that the kernel unpacks as its first root: cpio with "new ASCII" headers, see
// Documentation/driver-api/early-userspace/buffer-format.rst of Linux. It needs no privilege to describe a device.
type archive struct {
	out   io.Writer
	at    int // bytes written
	inode int
	made  map[string]bool
	err   error // the first; nothing is written after it
}

func newArchive(out io.Writer) *archive { return &archive{out: out, made: map[string]bool{}} }

// file adds a regular file, and the directories on the way that are not there yet. What was added first, stays.
func (a *archive) file(name string, mode int, content []byte) {
	a.entry(name, typeRegular|mode, 0, 0, content)
}

func (a *archive) directory(name string) { a.entry(name, typeDirectory|0o755, 0, 0, nil) }

func (a *archive) device(name string, major, minor int) {
	a.entry(name, typeCharacter|0o600, major, minor, nil)
}

func (a *archive) entry(name string, mode, major, minor int, content []byte) {
	name = strings.Trim(path.Clean(name), "/")
	if a.made[name] || name == "" || name == "." {
		return
	}
	a.directory(path.Dir(name))
	a.made[name] = true
	a.record(name, mode, major, minor, content)
}

// close ends the archive.
func (a *archive) close() error {
	a.record("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

func (a *archive) record(name string, mode, major, minor int, content []byte) {
	a.inode++
	links := 1
	if mode&typeMask == typeDirectory {
		links = 2
	}
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, 0, 0, links, 0, len(content), 0, 0, major, minor, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad()
	a.write(content)
	a.pad()
}

func (a *archive) pad() { a.write(make([]byte, -a.at&3)) }

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	var n int
	n, a.err = a.out.Write(b)
	a.at += n
}
