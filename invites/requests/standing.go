package requests

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Standing returns how a command stands.
func (s Bulk) Standing(ctx context.Context, command id.EventID) (st invites.Standing, err error) {
	if st.Rows, err = s.Store.ChangesAfter(ctx, string(command), 0, someRows); err != nil || len(st.Rows) == 0 {
		return st, err
	}
	action := st.Rows[0].Action
	switch {
	case st.Rows[0].Origin == invites.OriginBulk:
		st.Rows = nil
		var todo []invites.Card // before the count, which then has all rows
		if todo, err = s.Store.CardsTodo(ctx, invites.CardTodo{Command: command, Limit: proposals}); err != nil {
			return st, err
		}
		st.Beginning = slices.ContainsFunc(todo, func(c invites.Card) bool { return c.Kind == invites.CardConfirm })
		st.Counts, err = s.Store.CountRows(ctx, string(command), action)
	case len(st.Rows) == someRows:
		st.Rows, err = s.Store.ChangesOf(ctx, string(command))
	}
	st.Rows = slices.DeleteFunc(st.Rows, func(row invites.Change) bool { return row.Action != action })
	return st, err
}

// someRows is how many rows of a request are read at a time.
const someRows = 200
