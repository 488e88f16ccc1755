package report

import (
	"fmt"
	"strings"
)

// numbers is a table for each experiment, folded up: a line for each metric and parameter, a column for each subject.
func (d *document) numbers(b *strings.Builder) {
	b.WriteString("\n## All numbers\n\nMedian, then its ratio to host and to docker-overlay (spread).\n")
	for _, experiment := range d.experiments() {
		metrics := d.metrics(experiment)
		if len(metrics) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n<details><summary>%s</summary>\n\n", cell(experiment))
		subjects := d.measured(experiment)
		head(b, append([]string{"metric", "parameter"}, subjects...))
		for _, rs := range metrics {
			d.table(rs).markdown(b, subjects)
		}
		b.WriteString("\n</details>\n")
	}
}

// measured are the subjects of an experiment of which there are numbers.
func (d *document) measured(experiment string) []string {
	var names []string
	for _, rs := range d.metrics(experiment) {
		names = append(names, subjectsOf(rs)...)
	}
	return distinct(names, subjectOrder)
}

func (t *table) markdown(b *strings.Builder, subjects []string) {
	for _, l := range t.Lines {
		fmt.Fprintf(b, "| %s | %s |", cell(t.Metric), cell(l.Parameter))
		at := 0
		for _, s := range subjects {
			if at >= len(t.Subjects) || t.Subjects[at] != s {
				b.WriteString(" |")
				continue
			}
			fmt.Fprintf(b, " %s |", l.Cells[at].markdown())
			at++
		}
		b.WriteString("\n")
	}
}

func (c tableCell) markdown() string {
	text := c.Median
	if c.ToHost.Text != "" {
		text += "<br>host: " + c.ToHost.Markdown()
	}
	if c.ToOverlay.Text != "" {
		text += "<br>overlay: " + c.ToOverlay.Markdown()
	}
	return text
}
