package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A helper is this program, started anew in a namespace and on a core. Its standard error is ours. It obeys JSON messages
// that come by a socket, and ends when that is closed, so it cannot outlive us.
type helper struct {
	cmd *exec.Cmd

	mu      sync.Mutex // one question at a time
	socket  *net.UnixConn
	encoder *json.Encoder
	decoder *json.Decoder
}

// Names of the programs that a helper can be: its first argument.
const (
	roleUDP   = "falcon-load-udp"
	roleTCP   = "falcon-load-tcp"
	roleCache = "falcon-load-cache"
	rolePing  = "falcon-load-ping"
	roleEcho  = "falcon-load-echo"
)

// helperSocket is the file descriptor of its socket.
const helperSocket = 3

// helperPatience bounds what a helper may take to answer. It looks for questions every few milliseconds.
const helperPatience = 20 * time.Second

// startHelper starts one and waits until it is ready.
func startHelper(role, namespace string, cpu int, config any) (h *helper, failure error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "helper"), os.NewFile(uintptr(pair[1]), "helper")
	defer theirs.Close()
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	socket := conn.(*net.UnixConn)
	h = &helper{socket: socket, encoder: json.NewEncoder(socket), decoder: json.NewDecoder(socket)}
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Args = []string{role}
	h.cmd.Stderr = os.Stderr
	h.cmd.ExtraFiles = []*os.File{theirs}
	// In a session of its own it has a scheduling group of its own (sched_autogroup), and so its share of its core
	// does not depend on what we do on ours.
	h.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	// A process is born where the thread is that starts it.
	if err := onThread(namespace, cpu, h.cmd.Start); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	if err := h.ask(config, nil); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *helper) role() string { return h.cmd.Args[0] }

// answer is what a helper sends back.
type answer struct {
	Error string          `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
}

// ask sends a message and waits for the answer, which goes into value if that is not nil.
func (h *helper) ask(message, value any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.socket.SetDeadline(time.Now().Add(helperPatience)); err != nil {
		return fmt.Errorf("ask %s: %w", h.role(), err)
	}
	if err := h.encoder.Encode(message); err != nil {
		return fmt.Errorf("ask %s: %w", h.role(), err)
	}
	var a answer
	if err := h.decoder.Decode(&a); err != nil {
		return fmt.Errorf("ask %s: %w", h.role(), err)
	}
	if a.Error != "" {
		return fmt.Errorf("%s: %s", h.role(), a.Error)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(a.Value, value)
}

// close ends the process. It may be called again.
func (h *helper) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cmd.ProcessState != nil {
		return nil
	}
	// Closing it whole would reset it if the end of an answer is still unread.
	err := h.socket.CloseWrite()
	// One that is stuck in the kernel's TCP would not end by itself for minutes.
	kill := time.AfterFunc(helperPatience, func() { _ = h.cmd.Process.Kill() })
	defer kill.Stop()
	if wait := h.cmd.Wait(); wait != nil {
		err = errors.Join(err, fmt.Errorf("end %s: %w", h.role(), wait))
	}
	return errors.Join(err, h.socket.Close())
}

// Helper must be the first thing that the main function of a program calls which uses readers. If the process was
// started to be one, Helper works as that until it is no longer needed; ran tells so, and main should then exit.
func Helper() (ran bool, err error) {
	if len(os.Args) == 0 {
		return false, nil
	}
	roles := map[string]func(json.RawMessage) (worker, error){
		roleUDP: newUDPWorker, roleTCP: newTCPWorker, roleCache: newCacheWorker, rolePing: newPingWorker, roleEcho: newEchoWorker,
	}
	start, ok := roles[os.Args[0]]
	if !ok {
		return false, nil
	}
	// Garbage is made by answers alone; collecting it would disturb what is measured.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	file := os.NewFile(helperSocket, "helper")
	socket, err := net.FileConn(file)
	if err != nil {
		return true, err
	}
	return true, errors.Join(file.Close(), serve(socket, start))
}
