package driver

import (
	"cmp"

	"falcon/datapath"
)

// modes tells how networks are steered: as an experiment wants it; or as the daemon is told, unless the network's options say
// something else.
type modes struct {
	view       *view
	host       string
	daemon     datapath.Mode
	shortcut   string // of the daemon
	experiment *experiment
}

func (m modes) of(network string) datapath.Mode {
	member, _ := m.view.membership(m.host, network)
	return cmp.Or(m.experiment.current(), datapath.Mode(member.Steering), m.daemon, datapath.Off)
}

// shortcutOf tells whether a network's packets are to be taken past its devices.
func (m modes) shortcutOf(network string) bool {
	member, _ := m.view.membership(m.host, network)
	return cmp.Or(member.Shortcut, m.shortcut, ShortcutOff) == ShortcutOn
}
