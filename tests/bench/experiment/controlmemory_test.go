package experiment

import (
	"os"
	"runtime"
	"testing"
)

func TestResidentMemoryGrowsByWhatIsTouched(t *testing.T) {
	before, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const megabytes = 64
	block := make([]byte, megabytes*1000*1000)
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1
	}
	after, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < megabytes/2 || grown > megabytes*2 {
		t.Errorf("grew by %.1f MB, not about %d", grown, megabytes)
	}
	runtime.KeepAlive(block)
}
