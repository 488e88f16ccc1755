package datapath

import (
	"fmt"
	"slices"
)

// Mode is how a network's received packets are steered to cores.
type Mode string

// The modes. The zero value is Off.
const (
	Off     Mode = "off"     // not at all: the kernel's own way, on the core of the NIC's interrupt
	Static  Mode = "static"  // each flow's stages on cores chosen by hash
	Dynamic Mode = "dynamic" // as the balancer decides, by load
)

// Modes lists them, as people write them.
func Modes() []string { return []string{string(Off), string(Static), string(Dynamic)} }

// ParseMode reads what a person wrote.
func ParseMode(s string) (Mode, error) {
	if !slices.Contains(Modes(), s) {
		return "", fmt.Errorf("steering mode %q: must be one of off, static, dynamic", s)
	}
	return Mode(s), nil
}

// steered tells whether anything is to be done.
func (m Mode) steered() bool { return m == Static || m == Dynamic }

// kernel is the mode as the programs know it.
func (m Mode) kernel() steerMode {
	switch m {
	case Static:
		return steerModeMODE_STATIC
	case Dynamic:
		return steerModeMODE_DYNAMIC
	}
	return steerModeMODE_OFF
}

// modeOf is the opposite of kernel.
func modeOf(m steerMode) Mode {
	for _, mode := range []Mode{Static, Dynamic} {
		if mode.kernel() == m {
			return mode
		}
	}
	return Off
}
