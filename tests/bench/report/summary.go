package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// summary is the report in short: ratios, then what is missing and what failed.
func (d *document) summary() string {
	var b strings.Builder
	b.WriteString("# Benchmark\n\n")
	for _, fact := range d.Metadata.facts() {
		fmt.Fprintf(&b, "- %s: %s\n", cell(fact[0]), cell(fact[1]))
	}
	b.WriteString("\nRatios are formed round by round: median (spread). ↑ more is better, ↓ less is better.\n")
	for _, experiment := range d.experiments() {
		d.summarise(&b, experiment)
	}
	if len(d.Missing) > 0 {
		b.WriteString("\n## Missing\n\n| experiment | subject | why |\n|---|---|---|\n")
		for _, m := range d.Missing {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(m.Experiment), cell(m.Subject), cell(m.Why))
		}
	}
	if len(d.Failed) > 0 {
		b.WriteString("\n## Failed\n\n| experiment | error |\n|---|---|\n")
		for _, f := range d.Failed {
			fmt.Fprintf(&b, "| %s | %s |\n", cell(f.Experiment), cell(f.Error))
		}
	}
	return b.String()
}

func (d *document) summarise(b *strings.Builder, experiment string) {
	const head = "\n## %s\n\n| metric | parameter | subject | median | × host | × docker-overlay | paper: × host, × overlay |\n|---|---|---|---|---|---|---|\n"
	first := true
	for i := range d.Results {
		r := &d.Results[i]
		if r.Experiment != experiment {
			continue
		}
		if first {
			fmt.Fprintf(b, head, cell(experiment))
			first = false
		}
		w := d.row(r)
		fmt.Fprintf(b, "| %s | %s | %s | %s %s | %s | %s | %s |\n", cell(r.Metric+" "+arrow(r.HigherIsBetter)), cell(r.Parameter), cell(r.Subject),
			w.Median, cell(r.Unit), w.ToHost, w.ToOverlay, w.Paper)
	}
}

// facts are the metadata as a reader wants them.
func (m Metadata) facts() [][2]string {
	form := "full"
	if m.Quick {
		form = "quick: few and short rounds, not for citing"
	}
	facts := [][2]string{
		{"began", m.Began.UTC().Format(time.DateTime) + " UTC"}, {"took", m.Took.Round(time.Second).String()}, {"run", form},
		{"kernel", m.Kernel}, {"CPUs", fmt.Sprintf("%d × %s", m.CPUs, m.Model)}, {"load at the start", m.Load}, {"Go", m.Go},
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
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s)
}

func arrow(higherIsBetter bool) string {
	if higherIsBetter {
		return "↑"
	}
	return "↓"
}
