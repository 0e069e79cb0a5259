package picture

import (
	"fmt"
	"slices"
	"strings"
)

// Bar is one bar of a chart. Its parts are stacked.
type Bar struct {
	Name  string
	Parts [Absent + 1]int // number by tint
}

func (b Bar) total() (n int) {
	for _, part := range b.Parts {
		n += part
	}
	return n
}

// Chart has a column for each span of time, and below them a list of people.
type Chart struct {
	Title, Subtitle string
	Meaning         map[Tint]string
	Columns         []Bar // at most 26
	ListTitle       string
	List            []Bar // names are split as in Row
	Dark            bool
}

// Sizes of a chart, in pixels.
const (
	plotHeight  = 380
	leastColumn = 40 // with the gap to the next
	mostColumn  = 72
	axisWidth   = 56
	mostName    = 320 // of the list
	countWidth  = 50  // behind a bar of the list
)

// stack is the order of the parts of a bar, beginning at the axis.
var stack = [...]Tint{Good, Open, Bad, Absent, Plain}

// Draw draws the chart.
func (ch Chart) Draw() (Picture, error) {
	f, err := newFaces()
	if err != nil {
		return Picture{}, err
	}
	names := 0
	for i := range ch.List {
		ch.List[i].Name = f.shorten(ch.List[i].Name, mostName)
		names = max(names, width(f.text, ch.List[i].Name))
	}
	column := min(mostColumn, max(leastColumn, (narrow-2*margin-axisWidth)/max(1, len(ch.Columns))))
	inner := max(narrow-2*margin, axisWidth+len(ch.Columns)*column)
	head := f.newHeading(ch.Title, ch.Subtitle, legendOf(stack[:], ch.Meaning, ch.has), inner)
	w := 2*margin + max(inner, f.headingWidth(head), width(f.title, ch.ListTitle))
	top := margin + head.height() + 20
	listAt := top + plotHeight + 90
	h := listAt + margin
	if len(ch.List) > 0 {
		h += 50 + len(ch.List)*rowHeight
	}
	c := newCanvas(f, w, h, ch.Dark)
	c.heading(head)
	c.columns(ch.Columns, column, margin, top, w-margin)
	if len(ch.List) > 0 {
		c.write(f.text, ink, margin, listAt+22, ch.ListTitle)
		c.list(ch.List, margin, listAt+50, names, w-2*margin-names-noteGap-countWidth)
	}
	return c.picture()
}

// has tells whether a bar has a part of the tint.
func (ch Chart) has(tint Tint) bool {
	has := func(b Bar) bool { return b.Parts[tint] > 0 }
	return slices.ContainsFunc(ch.Columns, has) || slices.ContainsFunc(ch.List, has)
}

// nice is the smallest step among 1, 2, 5, 10, 20 … with 4*step >= n.
func nice(n int) int {
	for scale := 1; ; scale *= 10 {
		for _, step := range []int{1, 2, 5} {
			if 4*step*scale >= n {
				return step * scale
			}
		}
	}
}

// columns draws vertical bars over a grid. (x, y) is its top left, and each has a column with a gap to the next.
func (c *canvas) columns(bars []Bar, column, x, y, right int) {
	gap := column / 4
	most := 1
	for _, b := range bars {
		most = max(most, b.total())
	}
	step := nice(most)
	top := (most + step - 1) / step * step
	base := y + plotHeight
	for v := 0; v <= top; v += step {
		at := base - v*plotHeight/top
		c.box(hair, x+axisWidth-10, at-1, right, at+1)
		label := fmt.Sprint(v)
		c.write(c.small, faint, x+axisWidth-20-width(c.small, label), at+6, label)
	}
	for i, b := range bars {
		left, at := x+axisWidth+i*column, base
		for _, tint := range stack {
			if b.Parts[tint] > 0 {
				next := at - max(2, b.Parts[tint]*plotHeight/top)
				c.box(tint, left, next, left+column-gap, at)
				at = next
			}
		}
		middle := left + (column-gap)/2
		if n := b.total(); n > 0 {
			label := fmt.Sprint(n)
			c.write(c.small, ink, middle-width(c.small, label)/2, at-8, label)
		}
		for n, word := range strings.Fields(b.Name) {
			c.write(c.small, faint, middle-width(c.small, word)/2, base+26+n*22, word)
		}
	}
}

// list draws horizontal bars with names. (x, y) is its top left; names is the width of the names, and longest the length of the longest bar.
func (c *canvas) list(bars []Bar, x, y, names, longest int) {
	most := 1
	for _, b := range bars {
		most = max(most, b.total())
	}
	for i, b := range bars {
		top := y + i*rowHeight
		local, server, cut := strings.Cut(b.Name, ":")
		end := c.write(c.text, ink, x, top+25, local)
		if cut {
			c.write(c.text, faint, end, top+25, ":"+server)
		}
		at := x + names + noteGap
		for _, tint := range stack {
			if b.Parts[tint] > 0 {
				next := at + max(2, b.Parts[tint]*longest/most)
				c.box(tint, at, top+8, next, top+rowHeight-6)
				at = next
			}
		}
		c.write(c.small, ink, at+10, top+24, fmt.Sprint(b.total()))
	}
}
