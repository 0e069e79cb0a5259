package picture

import (
	"fmt"
	"strings"
)

// Bar is one bar of a chart, its parts stacked.
type Bar struct {
	Name  string
	Parts [Absent + 1]int // how many of each tint
}

func (b Bar) total() (n int) {
	for _, part := range b.Parts {
		n += part
	}
	return n
}

// Chart is a column for each span of time, and a list of people below.
type Chart struct {
	Title, Subtitle string
	Meaning         map[Tint]string
	Columns         []Bar // at most 26
	ListTitle       string
	List            []Bar // names as in Row
}

// Sizes of a chart, in pixels.
const (
	plotHeight  = 380
	columnWidth = 72 // with the gap to the next
	columnGap   = 18
	axisWidth   = 70
	listBar     = 420
)

// stack is the order in which parts are stacked, from the axis on.
var stack = [...]Tint{Good, Open, Bad, Absent, Plain}

// Draw draws the chart.
func (ch Chart) Draw() (Picture, error) {
	f, err := newFaces()
	if err != nil {
		return Picture{}, err
	}
	names := 0
	for _, b := range ch.List {
		names = max(names, width(f.text, shorten(b.Name)))
	}
	legend := ch.legend()
	plot := axisWidth + len(ch.Columns)*columnWidth
	w := 2*margin + max(plot, names+noteGap+listBar+80, width(f.title, ch.Title), width(f.small, ch.Subtitle), f.keyWidth(legend), width(f.title, ch.ListTitle))
	const head = margin + 130
	listAt := head + plotHeight + 90
	h := listAt + margin
	if len(ch.List) > 0 {
		h += 50 + len(ch.List)*rowHeight
	}
	c := newCanvas(f, w, h)
	c.write(f.title, ink, margin, margin+26, ch.Title)
	c.write(f.small, faint, margin, margin+58, ch.Subtitle)
	c.key(margin, margin+88, legend)
	c.columns(ch.Columns, margin, head, w-margin)
	if len(ch.List) > 0 {
		c.write(f.text, ink, margin, listAt+22, ch.ListTitle)
		c.list(ch.List, margin, listAt+50, names)
	}
	return c.picture()
}

// legend lists the tints that occur.
func (ch Chart) legend() (list []legend) {
	for _, tint := range stack {
		n := 0
		for _, b := range append(append([]Bar(nil), ch.Columns...), ch.List...) {
			n += b.Parts[tint]
		}
		if text := ch.Meaning[tint]; text != "" && n > 0 {
			list = append(list, legend{tint, text})
		}
	}
	return list
}

// nice is the smallest of 1, 2, 5, 10, 20 … of which at most four reach to n.
func nice(n int) int {
	for scale := 1; ; scale *= 10 {
		for _, step := range []int{1, 2, 5} {
			if 4*step*scale >= n {
				return step * scale
			}
		}
	}
}

// columns draws upright bars over a grid, from (x, y) on.
func (c *canvas) columns(bars []Bar, x, y, right int) {
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
		left, at := x+axisWidth+i*columnWidth, base
		for _, tint := range stack {
			if b.Parts[tint] > 0 {
				next := at - max(2, b.Parts[tint]*plotHeight/top)
				c.box(tint, left, next, left+columnWidth-columnGap, at)
				at = next
			}
		}
		middle := left + (columnWidth-columnGap)/2
		if n := b.total(); n > 0 {
			label := fmt.Sprint(n)
			c.write(c.small, ink, middle-width(c.small, label)/2, at-8, label)
		}
		for n, word := range strings.Fields(b.Name) {
			c.write(c.small, faint, middle-width(c.small, word)/2, base+26+n*22, word)
		}
	}
}

// list draws lying bars with names, from (x, y) on.
func (c *canvas) list(bars []Bar, x, y, names int) {
	most := 1
	for _, b := range bars {
		most = max(most, b.total())
	}
	for i, b := range bars {
		top := y + i*rowHeight
		local, server, cut := strings.Cut(shorten(b.Name), ":")
		end := c.write(c.text, ink, x, top+25, local)
		if cut {
			c.write(c.text, faint, end, top+25, ":"+server)
		}
		at := x + names + noteGap
		for _, tint := range stack {
			if b.Parts[tint] > 0 {
				next := at + max(2, b.Parts[tint]*listBar/most)
				c.box(tint, at, top+8, next, top+rowHeight-6)
				at = next
			}
		}
		c.write(c.small, ink, at+10, top+24, fmt.Sprint(b.total()))
	}
}
