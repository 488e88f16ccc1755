package report

import (
	"cmp"
	"slices"
	"strings"
)

// gap is what is missing for one reason, and in which experiments.
type gap struct {
	Subjects, Why, Experiments string
}

// gaps sums up what is missing: first the experiments that lack a subject for one reason, then the subjects that lack in
// the same experiments.
func (d *document) gaps() []gap {
	type cause struct{ subject, why string }
	var causes []cause
	where := map[cause][]string{}
	for _, m := range d.Missing {
		c := cause{m.Subject, m.Why}
		if where[c] == nil {
			causes = append(causes, c)
		}
		where[c] = append(where[c], m.Experiment)
	}
	slices.SortFunc(causes, func(a, b cause) int {
		return cmp.Or(compareListed(subjectOrder, a.subject, b.subject), cmp.Compare(a.why, b.why))
	})
	var all []gap
	for _, c := range causes {
		in := strings.Join(distinct(where[c], experimentOrder), ", ")
		i := slices.IndexFunc(all, func(g gap) bool { return g.Why == c.why && g.Experiments == in })
		if i >= 0 {
			all[i].Subjects += ", " + c.subject
			continue
		}
		all = append(all, gap{c.subject, c.why, in})
	}
	return all
}
