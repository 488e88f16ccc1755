package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// summary is the report in short, as Markdown: what failed and is missing, leading ratios, then all.
func (d *document) summary() string {
	var b strings.Builder
	b.WriteString("# Benchmark\n\n")
	d.brief(&b)
	d.numbers(&b)
	return b.String()
}

// brief is all but the numbers.
func (d *document) brief(b *strings.Builder) {
	if d.Metadata.Quick {
		b.WriteString("**A quick run: few and short rounds. Not for citing.**\n\n")
	}
	if len(d.Failed) > 0 {
		b.WriteString("**Failed:**\n\n")
		for _, f := range d.Failed {
			fmt.Fprintf(b, "- %s: %s\n", cell(f.Experiment), cell(f.Error))
		}
		b.WriteString("\n")
	}
	if gaps := d.gaps(); len(gaps) > 0 {
		b.WriteString("**Missing:**\n\n")
		for _, g := range gaps {
			fmt.Fprintf(b, "- %s: %s (%s)\n", cell(g.Subjects), cell(g.Why), cell(g.Experiments))
		}
		b.WriteString("\n")
	}
	var facts []string
	for _, fact := range d.Metadata.facts() {
		facts = append(facts, fact[0]+" "+cell(fact[1]))
	}
	b.WriteString("The run: " + strings.Join(facts, "; ") + ".\n")
	b.WriteString("\nRatios are formed in each round: the median of the rounds (their spread); of several parameters the geometric mean. " +
		"↑ more is better, ↓ less is better. \"same\": the spread contains 1.\n")
	for _, o := range d.overviews() {
		o.markdown(b)
	}
	d.check(b)
}

func (o overview) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## As a ratio to %s\n\n", o.Reference)
	head(b, append([]string{"experiment", "metric", "of"}, o.Subjects...))
	last := ""
	for _, l := range o.Lines {
		experiment := l.Experiment
		if experiment == last {
			experiment = ""
		}
		last = l.Experiment
		fmt.Fprintf(b, "| %s | %s | %s |", cell(experiment), cell(l.Metric), cell(l.Over))
		for _, c := range l.Cells {
			fmt.Fprintf(b, " %s |", c.Markdown())
		}
		b.WriteString("\n")
	}
}

// Markdown is a comparison with its verdict in bold. Its range stays on one line.
func (c comparison) Markdown() string {
	if c.Text == "" {
		return none
	}
	text := strings.Replace(c.Text, c.Range, strings.ReplaceAll(c.Range, " ", "\u00a0"), 1)
	switch c.Verdict {
	case better, worse:
		text += " **" + c.Verdict + "**"
	case same:
		text += " " + same
	}
	return text
}

// check is the outcome of the A/A check.
func (d *document) check(b *strings.Builder) {
	var pairs []pair
	for _, e := range d.experiments() {
		pairs = append(pairs, d.pairs(e)...)
	}
	if len(pairs) == 0 {
		return
	}
	b.WriteString("\n## A/A check\n\nOne subject as if it were two: the ratio of B to A should contain 1 within its spread.\n\n")
	head(b, []string{"subject", "metric", "parameter", "A", "B", "B to A", "contains 1"})
	for _, p := range pairs {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", cell(p.Subject), cell(p.Metric), cell(p.Parameter), p.A, p.B, p.Ratio, p.Verdict())
	}
}

func head(b *strings.Builder, columns []string) {
	for _, c := range columns {
		fmt.Fprintf(b, "| %s ", cell(c))
	}
	b.WriteString("|\n" + strings.Repeat("|---", len(columns)) + "|\n")
}

// facts are the metadata as a reader wants them.
func (m Metadata) facts() [][2]string {
	facts := [][2]string{
		{"began", m.Began.UTC().Format(time.DateTime) + " UTC"}, {"took", m.Took.Round(time.Second).String()},
		{"kernel", m.Kernel}, {"CPUs", fmt.Sprintf("%d × %s", m.CPUs, m.Model)}, {"load average at the start", m.Load}, {"Go", m.Go},
	}
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		facts = append(facts, [2]string{name, m.Versions[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Pinned)) {
		facts = append(facts, [2]string{"cores of " + name, m.Pinned[name]})
	}
	return facts
}

// cell makes text fit for a cell of a Markdown table.
func cell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(s)
}
