package dashboard

import (
	"net/http"
	"strconv"
	"time"

	"usher/invites"
	"usher/invites/ledger"
)

// maxInviters is how many inviters a page of statistics has.
const maxInviters = 15

// The size of a chart, in its own units. A line of text is about textSize high.
const (
	chartWidth, chartHeight = 360, 150
	chartTop, chartFoot     = 14, 18
	barHeight, barPitch     = 10, 34
	textSize                = 11
)

// bar is a rectangle of a chart, coloured by its class.
type bar struct {
	X, Y, W, H float64
	Class      string
}

// group is the bars and texts of one column or row of a chart, with the address of the invitations behind them.
type group struct {
	Bars        []bar
	Name, Count string
	Mark        string // at the axis; may be empty
	X, Y, Top   float64
	Link        string
}

// cell is a number in a table, with the address of its rows.
type cell struct {
	N    int
	Link string
}

// tableRow is one week or inviter.
type tableRow struct {
	Name, Link string
	Cells      []cell
}

// statsPage shows statistics.
type statsPage struct {
	*visit
	From     time.Time
	Heads    []string
	Weeks    []tableRow
	Inviters []tableRow
	Columns  []group
	Rows     []group
	ListEnd  int // height of the second chart
	More     int // inviters that are left out
	Empty    bool
	Legend   []legend
	shown    []invites.Fate
}

// legend is the meaning of a colour.
type legend struct{ Class, Name string }

// Width and Height are the size of the first chart.
func (p statsPage) Width() int  { return chartWidth }
func (p statsPage) Height() int { return chartHeight }

// Axis is the height of the axis.
func (p statsPage) Axis() int { return chartHeight - chartFoot }

// tint is the class of a fate in charts.
func tint(f invites.Fate) string {
	switch f {
	case invites.FateAccepted:
		return "good"
	case invites.FatePending:
		return "open"
	case invites.FateDeclined, invites.FateBanned:
		return "bad"
	}
	return "absent"
}

// tints are the classes in the order in which they are stacked.
func tints() []string { return []string{"good", "open", "bad", "absent"} }

// stats shows the statistics of a room.
func (d *Dashboard) stats(v *visit) error {
	s, err := d.Ledger.Stats(v.r.Context(), v.User, v.Room, d.Clock.Now())
	if err != nil {
		return err
	}
	v.Title, v.Tab = v.Say("dash.stats"), "stats"
	p := &statsPage{visit: v, From: s.From, Empty: s.Total.Sent() == 0}
	for _, f := range fates() {
		if s.Total[f] > 0 && f != invites.FateRenewed {
			p.shown, p.Heads = append(p.shown, f), append(p.Heads, v.Fate(f))
		}
	}
	p.Legend = []legend{{"good", v.Say("picture.good")}, {"open", v.Say("picture.open")}, {"bad", v.Say("picture.bad")}, {"absent", v.Say("picture.absent")}}
	p.columns(s)
	p.rows(s)
	v.show(http.StatusOK, "stats.html", p)
	return nil
}

// cells are the numbers of a row: the sum, and one for each fate. search selects the row's invitations.
func (p *statsPage) cells(n ledger.Counts, search ...string) []cell {
	list := []cell{{n.Sent(), p.At("ledger", search...)}}
	for _, f := range p.shown {
		list = append(list, cell{n[f], p.At("ledger", append([]string{"fate", string(f)}, search...)...)})
	}
	return list
}

// columns makes the chart of weeks, and its table.
func (p *statsPage) columns(s ledger.Stats) {
	most := 1
	for _, n := range s.Weeks {
		most = max(most, n.Sent())
	}
	pitch := float64(chartWidth) / float64(len(s.Weeks))
	scale := float64(chartHeight-chartTop-chartFoot) / float64(most)
	for i, n := range s.Weeks {
		from := s.Week(i)
		search := []string{"from", p.Day(from), "to", p.Day(from.AddDate(0, 0, 6))}
		g := group{Name: p.Say("dash.stats.week", "from", p.Day(from)), Link: p.At("ledger", search...), X: (float64(i) + .5) * pitch, Top: chartHeight - chartFoot}
		for _, class := range tints() {
			if count := tinted(n, class); count > 0 {
				h := float64(count) * scale
				g.Top -= h
				g.Bars = append(g.Bars, bar{float64(i)*pitch + 3, g.Top, pitch - 6, h, class})
			}
		}
		g.Y = g.Top - 3
		if n.Sent() > 0 {
			g.Count = strconv.Itoa(n.Sent())
		}
		if i%3 == 0 {
			g.Mark = p.Say("picture.week", "at", p.Moment(from))
		}
		p.Columns = append(p.Columns, g)
		p.Weeks = append(p.Weeks, tableRow{p.Day(from), g.Link, p.cells(n, search...)})
	}
}

// rows makes the chart of inviters, and its table.
func (p *statsPage) rows(s ledger.Stats) {
	shown := s.Inviters[:min(len(s.Inviters), maxInviters)]
	p.More = s.People - len(shown)
	from := p.Day(s.From)
	for i, inviter := range shown {
		n := s.By[inviter]
		search := []string{"by", string(inviter), "from", from}
		g := group{Name: p.Text(inviter), Count: strconv.Itoa(n.Sent()), Link: p.At("ledger", search...), Y: float64(i*barPitch) + textSize}
		scale := float64(chartWidth-40) / float64(max(1, s.By[s.Inviters[0]].Sent()))
		for _, class := range tints() {
			if count := tinted(n, class); count > 0 {
				g.Bars = append(g.Bars, bar{g.X, g.Y + 5, float64(count) * scale, barHeight, class})
				g.X += float64(count) * scale
			}
		}
		g.X, g.Top = g.X+5, g.Y+14
		p.Rows = append(p.Rows, g)
		p.Inviters = append(p.Inviters, tableRow{p.Text(inviter), p.Of(inviter), p.cells(n, search...)})
	}
	p.ListEnd = len(p.Rows) * barPitch
}

// tinted counts the invitations of one colour.
func tinted(n ledger.Counts, class string) (sum int) {
	for fate, count := range n {
		if fate != invites.FateRenewed && tint(fate) == class {
			sum += count
		}
	}
	return sum
}

// table is the numbers of a chart.
type table struct {
	*statsPage
	Name, First string
	List        []tableRow
}

// WeekTable is the table of the first chart.
func (p *statsPage) WeekTable() table {
	return table{p, p.Say("picture.weeks"), p.Say("dash.col.week"), p.Weeks}
}

// InviterTable is the table of the second chart.
func (p *statsPage) InviterTable() table {
	return table{p, p.Say("picture.inviters"), p.Say("dash.col.by"), p.Inviters}
}
