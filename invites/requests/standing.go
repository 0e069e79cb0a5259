package requests

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Standing is how a command stands: its rows, without the automatic joins after them, or the counts of a request for many people.
type Standing struct {
	Rows   []invites.Change
	Counts []invites.RowCount // instead of Rows; nil: not a request for many people
}

// More reports whether something is still to be done.
func (s Standing) More() bool {
	open := func(status invites.Status) bool {
		return status == invites.StatusOpen || status == invites.StatusWaiting
	}
	return slices.ContainsFunc(s.Rows, func(row invites.Change) bool { return open(row.Status) }) ||
		slices.ContainsFunc(s.Counts, func(c invites.RowCount) bool { return open(c.Status) })
}

// Standing returns how a command stands.
func (s *Requests) Standing(ctx context.Context, command id.EventID) (st Standing, err error) {
	if st.Rows, err = s.Store.ChangesAfter(ctx, string(command), 0, someRows); err != nil || len(st.Rows) == 0 {
		return st, err
	}
	action := st.Rows[0].Action
	switch {
	case st.Rows[0].Origin == invites.OriginBulk:
		st.Rows = nil
		st.Counts, err = s.Store.CountRows(ctx, string(command), action)
	case len(st.Rows) == someRows:
		st.Rows, err = s.Store.ChangesOf(ctx, string(command))
	}
	st.Rows = slices.DeleteFunc(st.Rows, func(row invites.Change) bool { return row.Action != action })
	return st, err
}

// someRows is how many rows of a request are read at a time.
const someRows = 200
