package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTopOnceIsText(t *testing.T) {
	var out bytes.Buffer
	err := top{newFakeDaemon(t).dir, leastInterval, true}.run(t.Context(), strings.NewReader("d"), &out)
	if err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "falcon top") != 1 || strings.Contains(text, escape) || strings.Contains(text, "quit") {
		t.Error(text)
	}
}

func TestTopIntoAPipeIsTextUntilTold(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- top{newFakeDaemon(t).dir, leastInterval, false}.run(ctx, read, write) }()
	blocks := 0
	for lines := bufio.NewScanner(read); blocks < 3 && lines.Scan(); {
		if strings.Contains(lines.Text(), escape) {
			t.Fatalf("escape codes: %q", lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "falcon top") {
			blocks++
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTopWithoutDaemonSaysWhatToDo(t *testing.T) {
	err := top{t.TempDir(), leastInterval, false}.run(t.Context(), strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "falcon serve") {
		t.Error(err)
	}
	if err := (top{interval: time.Millisecond}).run(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "--interval") {
		t.Error(err)
	}
}
