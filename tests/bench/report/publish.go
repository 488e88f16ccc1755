package report

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Render turns an SVG picture into a PNG.
type Render func(ctx context.Context, svg []byte) ([]byte, error)

// posters are the experiments of which there is a picture.
var posters = []string{"udp-single", "tcp-single", "latency", "multi-flow", "web", "cache", "hotspot", "overload", "cost"}

// Publish puts a report into a directory to be kept with the source: README.md (the summary, with how to get the same),
// report.html, report.json with medians and spreads instead of samples, and a PNG for each main figure. Nothing is changed
// there unless all could be made; PNGs that are not made any more are removed.
func (r *Report) Publish(ctx context.Context, dir string, render Render) error {
	d := r.document()
	files, err := d.published(ctx, render)
	if err != nil {
		return fmt.Errorf("publish report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("publish report: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil {
		return fmt.Errorf("publish report: %w", err)
	}
	for name, content := range files {
		if err := put(dir, name, content); err != nil {
			return err
		}
	}
	var failures []error
	for _, path := range old {
		if _, kept := files[filepath.Base(path)]; !kept {
			failures = append(failures, os.Remove(path))
		}
	}
	return errors.Join(failures...)
}

// published are all files by name.
func (d *document) published(ctx context.Context, render Render) (map[string][]byte, error) {
	page, err := d.page()
	if err != nil {
		return nil, err
	}
	sum, err := d.digest()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"report.html": page, "report.json": sum}
	colours := d.palette()
	var pictures []string
	for _, e := range posters {
		s := d.section(e, colours)
		if len(s.Leading) == 0 {
			continue
		}
		picture, err := render(ctx, s.poster(colours))
		if err != nil {
			return nil, fmt.Errorf("picture of %s: %w", e, err)
		}
		files[e+".png"], pictures = picture, append(pictures, e)
	}
	files["README.md"] = []byte(d.readme(pictures))
	return files, nil
}

// reproduce opens README.md.
const reproduce = `# Benchmark

What an overlay network costs, each way to have one against the others, in one run on one machine. To get the same on
yours, as root on Debian 12:

` + "```sh" + `
make bench          # within an hour, into out/bench; QUICK=1: five minutes; EXPERIMENT=udp-single: one only
make bench-publish  # writes this directory from it
` + "```" + `

[report.html](report.html) has all plots and numbers (download it: it is one file, which needs nothing else);
[report.json](report.json) has the medians and spreads to compute with.

`

// readme is the summary with the pictures.
func (d *document) readme(pictures []string) string {
	var b strings.Builder
	b.WriteString(reproduce)
	d.brief(&b)
	for _, p := range pictures {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n![%s](%s.png)\n", p, about[p], p, p)
	}
	d.numbers(&b)
	return b.String()
}

// Experiments are all of which the report says anything.
func (r *Report) Experiments() []string { return r.document().experiments() }
