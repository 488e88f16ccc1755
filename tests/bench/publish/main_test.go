package main

import (
	"errors"
	"image"
	"image/color"
	"testing"

	"falcon/tests/bench/report"
)

func TestOnlyWhatMayBeCited(t *testing.T) {
	full := func() *report.Report {
		r := report.New(report.Metadata{})
		r.Missing("web", "host", "no wrk")
		return r
	}
	if err := complete(full(), []string{"web"}); err != nil {
		t.Error(err)
	}
	if err := complete(full(), []string{"web", "cache"}); err == nil {
		t.Error("a part passes for the whole")
	}
	quick := full()
	quick.Quick = true
	if err := complete(quick, []string{"web"}); err == nil {
		t.Error("a quick run is published")
	}
	failed := full()
	failed.Fail("web", errors.New("broken"))
	if err := complete(failed, []string{"web"}); err == nil {
		t.Error("a failed run is published")
	}
}

// A chart has few colours that matter and many at the edges of its letters.
func TestReduce(t *testing.T) {
	picture := image.NewRGBA(image.Rect(0, 0, 64, 128))
	blue := color.RGBA{0, 114, 178, 255}
	for y := range 128 {
		for x := range 64 {
			picture.SetRGBA(x, y, blue)
			if y < 64 {
				picture.SetRGBA(x, y, color.RGBA{uint8(4 * x), uint8(4 * y), 128, 255})
			}
		}
	}
	small := reduce(picture)
	if len(small.Palette) > 256 {
		t.Errorf("%d colours", len(small.Palette))
	}
	if r, g, b, _ := small.At(10, 100).RGBA(); apart(r>>8, 0)+apart(g>>8, 114)+apart(b>>8, 178) > 12 {
		t.Errorf("blue became %v", small.At(10, 100))
	}
}

func apart(a, b uint32) uint32 { return max(a, b) - min(a, b) }
