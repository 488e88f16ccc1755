package store

import (
	"io"

	"github.com/sirupsen/logrus"
)

// logOrDiscard lets a caller leave the log out.
func logOrDiscard(log logrus.FieldLogger) logrus.FieldLogger {
	if log != nil {
		return log
	}
	discard := logrus.New()
	discard.SetOutput(io.Discard)
	return discard
}
