package invites

import (
	"slices"
	"time"
)

// RowCount is how many rows of one request stand alike.
type RowCount struct {
	Status Status
	Code   string
	N      int
	Due    time.Time // of the open ones, the last
	First  Change    // the first of these rows
}

// CountRows adds up the rows with a status.
func CountRows(counts []RowCount, status Status) (n int) {
	for _, c := range counts {
		if c.Status == status {
			n += c.N
		}
	}
	return n
}

// Standing is how a command stands: its rows, without the automatic joins after them, or the counts of a request for many people.
type Standing struct {
	Rows   []Change
	Counts []RowCount // instead of Rows; nil: not a request for many people

	Beginning bool // not all rows of a request for many people are on record yet
}

// More reports whether something is still to be done.
func (s Standing) More() bool {
	open := func(status Status) bool {
		return status == StatusOpen || status == StatusWaiting
	}
	return s.Beginning || slices.ContainsFunc(s.Rows, func(row Change) bool { return open(row.Status) }) ||
		slices.ContainsFunc(s.Counts, func(c RowCount) bool { return open(c.Status) })
}
