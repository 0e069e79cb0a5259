package requests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// refusals are the refused native invitations on their way to the audit. A client may send hundreds in a second, so the homeserver gets its answer
// at once, and those of one user in one room for one reason share a row. The zero value is empty.
type refusals struct {
	mu   sync.Mutex
	kept map[refusal]tallied
}

type refusal struct {
	room  id.RoomID
	actor id.UserID
	code  string
}

type tallied struct {
	row invites.Audit // of the last one
	n   int
}

// maxRefusals bounds the rows kept; further refusals are counted by their code only.
const maxRefusals = 500

// add counts n refusals, the last of which is row.
func (r *refusals) add(row invites.Audit, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := refusal{row.Room, row.Actor, row.Code}
	if _, known := r.kept[key]; !known && len(r.kept) >= maxRefusals {
		row.Room, row.Actor, row.Performer, row.Target, row.Policy = "", "", "", "", ""
		key = refusal{code: row.Code}
	}
	before, known := r.kept[key]
	if known && before.row.Target != row.Target {
		row.Target = "" // several
	}
	if r.kept == nil {
		r.kept = map[refusal]tallied{}
	}
	r.kept[key] = tallied{row, before.n + n}
}

// take returns all, and forgets them.
func (r *refusals) take() []tallied {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := slices.Collect(maps.Values(r.kept))
	r.kept = nil
	return kept
}

// Flush writes the refusals of native invitations since the last time to the audit: a row for each user, room and reason. A row that stands for
// several says in its request for how many, and names the target if they had the same.
func (s *Requests) Flush(ctx context.Context) error {
	kept := s.refused.take()
	slices.SortFunc(kept, func(a, b tallied) int { return a.row.At.Compare(b.row.At) })
	var audit []invites.Audit
	for _, one := range kept {
		row := one.row
		if one.n > 1 {
			row.Request = fmt.Sprintf("%srefused=%d:%s.%d", invites.NativePrefix, one.n, strconv.FormatInt(row.At.UnixMilli(), 36), len(audit))
		}
		audit = append(audit, row)
	}
	_, err := s.Store.Record(ctx, nil, audit)
	if err != nil { // the next time writes them
		for _, one := range kept {
			s.refused.add(one.row, one.n)
		}
	}
	return err
}
