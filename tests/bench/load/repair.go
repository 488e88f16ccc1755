package load

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Of linux/tcp.h; package unix lacks some.
const (
	repairOff          = -1 // TCP_REPAIR_OFF_NO_WP: without a window probe, which would be sent to the peer (kernel 4.19)
	repairOn           = 1
	repairQueueRecv    = 1
	repairQueueSend    = 2
	optionMSS          = 2
	optionWindow       = 3
	sizeofRepairOption = 8
)

// establish makes a socket that is in the middle of a connection: the next byte that it expects has the number sequence.
func establish(s Stream, sequence uint32, mss, buffer int) (socket int, failure error) {
	socket, err := newSocket(s.Local.Addr(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
	if err != nil {
		return -1, err
	}
	defer func() {
		if failure != nil {
			unix.Close(socket)
		}
	}()
	if buffer > 0 {
		if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer/2); err != nil {
			return -1, fmt.Errorf("set size of receive buffer: %w", err)
		}
	}
	set := func(name string, option, value int) {
		if failure != nil {
			return
		}
		if err := unix.SetsockoptInt(socket, unix.IPPROTO_TCP, option, value); err != nil {
			failure = fmt.Errorf("set %s: %w", name, err)
		}
	}
	set("TCP_REPAIR", unix.TCP_REPAIR, repairOn)
	set("TCP_REPAIR_QUEUE", unix.TCP_REPAIR_QUEUE, repairQueueSend)
	set("TCP_QUEUE_SEQ", unix.TCP_QUEUE_SEQ, acknowledgedByAll)
	set("TCP_REPAIR_QUEUE", unix.TCP_REPAIR_QUEUE, repairQueueRecv)
	set("TCP_QUEUE_SEQ", unix.TCP_QUEUE_SEQ, int(int32(sequence)))
	if failure != nil {
		return -1, failure
	}
	if err := unix.Bind(socket, sockaddr(s.Local)); err != nil {
		return -1, fmt.Errorf("bind to %v: %w", s.Local, err)
	}
	if err := unix.Connect(socket, sockaddr(s.Remote)); err != nil {
		return -1, fmt.Errorf("connect to %v: %w", s.Remote, err)
	}
	if err := unix.SetsockoptString(socket, unix.IPPROTO_TCP, unix.TCP_REPAIR_OPTIONS, string(repairOptions(mss))); err != nil {
		return -1, fmt.Errorf("set TCP_REPAIR_OPTIONS: %w", err)
	}
	set("TCP_REPAIR", unix.TCP_REPAIR, repairOff)
	return socket, failure
}

// repairOptions are an array of struct tcp_repair_opt.
func repairOptions(mss int) []byte {
	b := make([]byte, 0, 2*sizeofRepairOption)
	for _, o := range [][2]uint32{{optionMSS, uint32(mss)}, {optionWindow, windowShift<<16 | windowShift}} {
		b = binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(b, o[0]), o[1])
	}
	return b
}

// abandon closes a socket without a word to the peer.
func abandon(socket int) error {
	if err := unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOn); err != nil {
		unix.Close(socket)
		return fmt.Errorf("set TCP_REPAIR: %w", err)
	}
	return unix.Close(socket)
}
