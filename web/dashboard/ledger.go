package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Bounds of a page of the ledger: how many rows it has, and how long it goes on looking for them.
const (
	maxRows   = 50
	searching = 100 * time.Millisecond
	maxText   = 255 // of a search
)

// option is something to choose from.
type option struct {
	Value, Name string
	Picked      bool
}

// ledgerPage lists invitations.
type ledgerPage struct {
	*visit
	Typed   string
	Fates   []option
	By      string // the inviter, whose invitations alone are shown
	From    string // the days between which they were made
	Until   string
	Person  string // address of the page about the person whose id was typed; empty: there is none
	All     string // address without the search; empty: nothing is searched for
	List    []invites.Invitation
	Next    string // address of the next page; empty: there is none
	Further bool   // the next page goes on with the search
}

// ledger lists the invitations of a room, the newest first.
func (d *Dashboard) ledger(v *visit) error {
	v.Title, v.Tab = v.Say("dash.ledger"), "ledger"
	p := ledgerPage{visit: v}
	q := p.read()
	var next invites.Place
	enough, cancel := context.WithTimeout(v.r.Context(), searching)
	defer cancel()
	for {
		some, place, err := d.Ledger.Find(v.r.Context(), v.User, q, maxRows-len(p.List))
		if err != nil {
			return err
		}
		p.List, next = append(p.List, some...), place
		if next.At.IsZero() || len(p.List) == maxRows || enough.Err() != nil {
			break
		}
		q.After = next
	}
	if !next.At.IsZero() {
		p.Next, p.Further = v.At("ledger", append(p.search(), "after", writePlace(next))...), len(p.List) < maxRows
	}
	v.show(http.StatusOK, "ledger.html", p)
	return nil
}

// read reads the search.
func (p *ledgerPage) read() invites.LedgerQuery {
	r := p.r
	p.Typed = strings.TrimSpace(room.Shorten(r.FormValue("q"), maxText))
	fate, by := invites.Fate(r.FormValue("fate")), id.UserID(room.Shorten(r.FormValue("by"), maxText))
	q := invites.LedgerQuery{Room: p.Room, Text: p.Typed, Inviter: by, After: readPlace(r.FormValue("after"))}
	if slices.Contains(fates(), fate) {
		q.Fate = fate
	}
	q.Since, p.From = readDay(r.FormValue("from"))
	if q.Until, p.Until = readDay(r.FormValue("to")); p.Until != "" {
		q.Until = q.Until.AddDate(0, 0, 1)
	}
	p.By = string(by)
	p.Fates = []option{{"", p.Say("dash.fate.any"), q.Fate == ""}}
	for _, one := range fates() {
		p.Fates = append(p.Fates, option{string(one), p.Fate(one), one == q.Fate})
	}
	if _, _, err := id.UserID(p.Typed).Parse(); err == nil {
		p.Person = p.Of(id.UserID(p.Typed))
	}
	if len(p.search()) > 0 && (p.Typed != "" || q.Fate != "" || by != "" || p.From != "" || p.Until != "") {
		p.All = p.At("ledger")
	}
	return q
}

// search is the search as parameters of an address.
func (p *ledgerPage) search() []string {
	fate := ""
	for _, one := range p.Fates {
		if one.Picked {
			fate = one.Value
		}
	}
	return []string{"q", p.Typed, "fate", fate, "by", p.By, "from", p.From, "to", p.Until}
}

// readDay reads a day, and returns its begin and its name, or zeros.
func readDay(text string) (time.Time, string) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1970 {
		return time.Time{}, ""
	}
	return day, text
}

// writePlace and readPlace put a place into an address.
func writePlace(p invites.Place) string {
	return strconv.FormatInt(p.At.UnixMilli(), 10) + "." + strconv.FormatInt(p.ID, 10)
}

func readPlace(text string) invites.Place {
	first, second, _ := strings.Cut(text, ".")
	at, err := strconv.ParseInt(first, 10, 64)
	number, err2 := strconv.ParseInt(second, 10, 64)
	if err != nil || err2 != nil || at <= 0 {
		return invites.Place{}
	}
	return invites.Place{At: time.UnixMilli(at), ID: number}
}

// Fate words the fate of an invitation.
func (v *visit) Fate(f invites.Fate) string { return v.Say("dash.fate", "fate", string(f)) }

// Way words how an invitation came about, unless a member sent it.
func (v *visit) Way(w invites.Way) string {
	switch w {
	case invites.WayBot:
		return v.Say("dash.way.bot")
	case invites.WayActor:
		return v.Say("dash.way.actor")
	case invites.WayThirdParty:
		return v.Say("dash.way.third_party")
	}
	return ""
}

// entry is an invitation in a table.
type entry struct {
	*visit
	Row invites.Invitation
}

// Entry is an invitation for the template of rows.
func (v *visit) Entry(row invites.Invitation) entry { return entry{v, row} }

// Ended reports whether the end of the invitation is known.
func (e entry) Ended() bool { return !e.Row.EndedAt.IsZero() }
