package report

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.png")
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	failing := func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no paint") }
	if err := example().Publish(t.Context(), dir, failing); err == nil {
		t.Error("published without pictures")
	}
	if _, err := os.Stat(stale); err != nil {
		t.Error("a failure changed the directory:", err)
	}
	render := func(_ context.Context, svg []byte) ([]byte, error) {
		wellFormed(t, string(svg))
		return []byte("picture"), nil
	}
	if err := example().Publish(t.Context(), dir, render); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	if want := []string{"README.md", "hotspot.png", "latency.png", "report.html", "report.json", "udp-single.png"}; !reflect.DeepEqual(names, want) {
		t.Error(names)
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"make bench-publish", "](udp-single.png)", "wrk is not there", "broken"} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("README.md lacks %q", want)
		}
	}
}

func TestDigest(t *testing.T) {
	raw, err := example().document().digest()
	if err != nil {
		t.Fatal(err)
	}
	var d digest
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	got := d.Results[1].Subjects[Overlay]
	if d.Results[1].Parameter != "1 KB" || got.N != 5 || got.Value != (span{450, 450, 450}) || *got.ToHost != (span{0.5, 0.5, 0.5}) || got.ToOverlay != nil {
		t.Errorf("%+v", d.Results[1])
	}
	if digits(123456) != 123500 || digits(-0.00123456) != -0.001235 || digits(0) != 0 {
		t.Error("digits are wrong")
	}
}

func TestPosterCharts(t *testing.T) {
	s := section{Name: "latency"}
	for _, title := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.Leading = append(s.Leading, chart{Title: title, Width: narrow})
	}
	titles := func() (all string) {
		for _, c := range s.posterCharts() {
			all += c.Title
		}
		return all
	}
	if got := titles(); got != "abcd" {
		t.Error(got)
	}
	if s.Curves = 8; titles() != "aceg" {
		t.Error(titles())
	}
}
