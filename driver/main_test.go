package driver

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind: a driver that was stopped must be gone.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
