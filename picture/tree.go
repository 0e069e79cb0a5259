package picture

import (
	"math"
	"slices"
	"strings"
)

// Row is one person of a tree. The rows of a tree are in the order of an outline.
type Row struct {
	Name  string // the part before the first colon is darker than the rest
	Note  string // small, behind the name
	Tint  Tint
	Depth int // 0 for a root; the parent is the nearest row above with a smaller depth
}

// Tree is a picture of people who invited each other, drawn as an outline: in one column for up to 25 people, else in several, whose number gives the
// picture a handy shape.
type Tree struct {
	Title, Subtitle string
	Rows            []Row
	Meaning         map[Tint]string // the texts of the legend
	Dark            bool
}

// Sizes of a tree.
const (
	oneColumn  = 25  // people; more are drawn in several columns
	indent     = 34  // the distance of a row from its parent, to the right, in pixels
	mostIndent = 170 // of the deepest row of one column
)

// item is a row with its lines: guides[d] tells whether the line at depth d goes on below it.
type item struct {
	Row
	guides  []bool
	last    bool // the last of its siblings
	repeats bool // a parent repeated at the top of the next column
	indent  int  // of one depth
}

// Draw draws the tree.
func (t Tree) Draw() (Picture, error) {
	f, err := newFaces()
	if err != nil {
		return Picture{}, err
	}
	items := place(t.Rows)
	columns, widths := f.columns(items)
	used := func(tint Tint) bool { return slices.ContainsFunc(t.Rows, func(r Row) bool { return r.Tint == tint }) }
	w, tallest := 2*margin+(len(columns)-1)*margin, 0
	for i, column := range columns {
		w += widths[i]
		tallest = max(tallest, len(column))
	}
	legend := legendOf([]Tint{Plain, Good, Open, Bad, Absent}, t.Meaning, used)
	head := f.newHeading(t.Title, t.Subtitle, legend, max(w, narrow)-2*margin)
	w = max(w, 2*margin+f.headingWidth(head))
	top := margin + head.height()
	c := newCanvas(f, w, top+tallest*rowHeight+margin, t.Dark)
	c.heading(head)
	x := margin
	for i, column := range columns {
		for n, it := range column {
			c.row(it, x, top+n*rowHeight)
		}
		x += widths[i] + margin
	}
	return c.picture()
}

// place finds the lines of each row.
func place(rows []Row) []item {
	items := make([]item, len(rows))
	more := []bool{} // by depth: a sibling follows below
	for i := len(rows) - 1; i >= 0; i-- {
		d := rows[i].Depth
		for len(more) <= d {
			more = append(more, false)
		}
		more = more[:d+1]
		items[i] = item{Row: rows[i], guides: slices.Clone(more[:d]), last: !more[d], indent: indent}
		more[d] = true
	}
	return items
}

// shape is the aim for the ratio of width to height.
const shape = 1.5

// columns splits items into columns, and returns the width of each column.
func (f faces) columns(items []item) (best [][]item, widths []int) {
	if len(items) <= oneColumn {
		column, w := f.column(items)
		return [][]item{column}, []int{w}
	}
	distance := math.Inf(1)
	for n := 1; n <= max(1, len(items)/8) && n <= 12; n++ {
		columns := split(items, (len(items)+n-1)/n)
		w, ws := 0, make([]int, len(columns))
		for i, column := range columns {
			for _, it := range column {
				ws[i] = max(ws[i], f.rowWidth(it))
			}
			w += ws[i] + margin
		}
		ratio := float64(w) / float64(len(columns[0])*rowHeight)
		if d := math.Abs(math.Log(ratio / shape)); d < distance {
			distance, best, widths = d, columns, ws
		}
	}
	return best, widths
}

// column makes one column, no wider than a narrow picture: deep rows move left, and long names are shortened.
func (f faces) column(items []item) (column []item, w int) {
	deepest := 1
	for _, it := range items {
		deepest = max(deepest, it.Depth)
	}
	for _, it := range items {
		it.indent = min(indent, mostIndent/deepest)
		it.Name = f.shorten(it.Name, narrow-2*margin-(f.rowWidth(it)-width(f.text, f.shorten(it.Name, math.MaxInt))))
		column, w = append(column, it), max(w, f.rowWidth(it))
	}
	return column, w
}

// split makes columns of the given number of rows. If the first row of a column has a parent, the column repeats the parent above it.
func split(items []item, rows int) (columns [][]item) {
	for start := 0; start < len(items); start += rows {
		column := items[start:min(start+rows, len(items))]
		if d := column[0].Depth; start > 0 && d > 0 {
			parent := start - 1
			for items[parent].Depth >= d {
				parent--
			}
			again := items[parent]
			again.repeats, again.Note = true, "…"
			column = append([]item{again}, column...)
		}
		columns = append(columns, aligned(column))
	}
	return columns
}

// aligned moves the rows of a column left, as far as the least deep row allows.
func aligned(column []item) []item {
	least := column[0].Depth
	for _, it := range column {
		least = min(least, it.Depth)
	}
	least = max(0, least-1) // keep room for the line from above
	column = slices.Clone(column)
	for i := range column {
		it := &column[i]
		it.Depth, it.guides = it.Depth-least, it.guides[least:]
	}
	return column
}

// Distances within a row.
const (
	dotRadius = 8
	textAt    = 28 // from the left of the row
	noteGap   = 12
)

func (f faces) rowWidth(it item) int {
	w := it.Depth*it.indent + textAt + width(f.text, f.shorten(it.Name, math.MaxInt))
	if it.Note != "" {
		w += noteGap + width(f.small, it.Note)
	}
	return w
}

// row draws one row with its top left at (x, y).
func (c *canvas) row(it item, x, y int) {
	middle := y + rowHeight/2
	at := func(depth int) int { return x + depth*it.indent + dotRadius }
	for d := 1; d < it.Depth; d++ {
		if it.guides[d] {
			c.box(line, at(d-1)-1, y, at(d-1)+1, y+rowHeight)
		}
	}
	own := at(it.Depth)
	if it.Depth > 0 {
		end := y + rowHeight
		if it.last {
			end = middle + 1
		}
		c.box(line, at(it.Depth-1)-1, y, at(it.Depth-1)+1, end)
		c.box(line, at(it.Depth-1), middle-1, own, middle+1)
	}
	tint, name := it.Tint, ink
	if it.repeats {
		tint, name = line, faint
	}
	c.dot(tint, own, middle, dotRadius)
	label := c.shorten(it.Name, math.MaxInt)
	local, server, _ := strings.Cut(label, ":")
	end := c.write(c.text, name, own-dotRadius+textAt, middle+8, local)
	if local != label {
		end = c.write(c.text, faint, end, middle+8, ":"+server)
	}
	if it.Note != "" {
		c.write(c.small, faint, end+noteGap, middle+7, it.Note)
	}
}
