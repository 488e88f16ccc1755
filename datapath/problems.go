package datapath

import "github.com/sirupsen/logrus"

// problems are what is wrong with parts of something.
type problems map[string]string

// note keeps what is wrong with a part, or that it is right again. What several parts suffer from is said once.
func (p problems) note(log logrus.FieldLogger, consequence, what string, err error) {
	if err == nil {
		delete(p, what)
		return
	}
	known := false
	for _, why := range p {
		known = known || why == err.Error()
	}
	if !known {
		log.WithError(err).Warnf("%s: %s", consequence, what)
	}
	p[what] = err.Error()
}
