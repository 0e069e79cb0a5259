package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// line is one figure of one work: what each subject reached, round by round.
type line struct {
	work, figure, unit string
	subjects           []string // in the order in which they came
	values             map[string][]float64
}

// table collects figures.
type table struct{ lines []*line }

// add notes a value.
func (t *table) add(work, figure, unit, subject string, value float64) {
	var l *line
	for _, known := range t.lines {
		if known.work == work && known.figure == figure {
			l = known
		}
	}
	if l == nil {
		l = &line{work: work, figure: figure, unit: unit, values: map[string][]float64{}}
		t.lines = append(t.lines, l)
	}
	if l.values[subject] == nil {
		l.subjects = append(l.subjects, subject)
	}
	l.values[subject] = append(l.values[subject], value)
}

// print prints a Markdown table of medians. The ratio is the median of the rounds' ratios of Usher to each other subject.
func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, "| work | figure | Usher | against |\n|---|---|---|---|")
	for _, l := range t.lines {
		for _, subject := range l.subjects {
			if !strings.HasPrefix(subject, "usher") {
				continue
			}
			var against []string
			for _, other := range l.subjects {
				if !strings.HasPrefix(other, "usher") {
					against = append(against, fmt.Sprintf("%s %s (**%s×**)", other, number(median(l.values[other])), number(ratio(l.values[subject], l.values[other]))))
				}
			}
			name := l.work
			if subject != "usher" {
				name += " (" + subject + ")"
			}
			fmt.Fprintf(w, "| %s | %s | %s %s | %s |\n", name, l.figure, number(median(l.values[subject])), l.unit, strings.Join(against, ", "))
		}
	}
}

// ratio is the median of a/b, round by round.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// number rounds to three digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v >= 1000:
		digits := strconv.FormatFloat(v, 'f', 0, 64)
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return digits
	case v >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// times are durations in milliseconds.
type times []float64

func (t *times) add(d time.Duration) { *t = append(*t, float64(d)/float64(time.Millisecond)) }
