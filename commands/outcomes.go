package commands

import (
	"bytes"
	"encoding/csv"
	"strings"
	"time"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Outcomes is the file with the outcome of each person of a request. Its columns are codes, which scripts can read, and the explanation in
// words. NewOutcomes begins one.
type Outcomes struct {
	out   bytes.Buffer
	table *csv.Writer
	lang  string
}

// NewOutcomes begins a file with explanations in a language.
func NewOutcomes(lang string) *Outcomes {
	o := &Outcomes{lang: lang}
	o.table = csv.NewWriter(&o.out)
	o.line("user_id", "outcome", "code", "time", "explanation")
	return o
}

// Add writes the line of one row.
func (o *Outcomes) Add(row invites.Change) {
	at := row.SettledAt
	if at.IsZero() {
		at = row.CreatedAt
	}
	var why Text
	why.Tell(row.Detail)
	o.line(string(row.Target), outcomeOf(row), row.Code, at.UTC().Format(time.RFC3339), string(why.in(o.lang, nil).plain))
}

// File returns the file, which holds all lines added so far.
func (o *Outcomes) File() []byte {
	o.table.Flush()
	return o.out.Bytes()
}

// outcomeOf is the outcome of a row in one word: see docs/bulk.md.
func outcomeOf(row invites.Change) string {
	switch {
	case row.Code == string(policy.CodeAlready):
		return "already_invited"
	case row.Code == string(room.RuleInviteTargetJoined):
		return "already_in"
	case row.Status == invites.StatusDone:
		return "invited"
	case row.Status == invites.StatusCancelled:
		return "not_sent"
	case row.Status == invites.StatusRefused:
		return "refused"
	}
	return "open"
}

// line writes cells. A spreadsheet takes a cell that begins with one of these signs for a formula, unless an apostrophe stands before it.
func (o *Outcomes) line(cells ...string) {
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@|%\t\r\n", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	_ = o.table.Write(cells) // to memory
}
