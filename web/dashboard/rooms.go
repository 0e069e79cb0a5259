package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
)

// Bounds of a page of rooms: the judgement of a room may need state that only the homeserver has.
const (
	maxRooms    = 50
	maxJudged   = 500
	judgedSide  = 8
	judgingTime = 3 * time.Second
)

// shownRoom is a room in the list.
type shownRoom struct {
	Room                id.RoomID
	Name, Initial, Link string
	Pending             int // open invitations
	PendingLink         string
}

// roomsPage lists rooms.
type roomsPage struct {
	*visit
	List  []shownRoom
	First bool   // the list begins here
	Next  string // address of the next page; empty: there is none
}

// rooms lists the rooms of which the person may read the audit.
func (d *Dashboard) rooms(v *visit) error {
	all, err := d.Rooms.All(v.r.Context())
	if err != nil {
		return err
	}
	after := id.RoomID(v.r.FormValue("after"))
	start, found := slices.BinarySearch(all, after)
	if found {
		start++
	}
	p := roomsPage{visit: v, First: after == ""}
	ctx, cancel := context.WithTimeout(v.r.Context(), judgingTime)
	defer cancel()
	rest := all[start:]
	for judged := 0; len(rest) > 0 && len(p.List) < maxRooms && judged < maxJudged && ctx.Err() == nil; {
		batch := rest[:min(judgedSide, len(rest))]
		may, err := mayAudit(ctx, d.Ledger, v.User, batch)
		if err != nil && ctx.Err() == nil {
			return err
		} else if err != nil {
			break
		}
		for i, r := range batch {
			if may[i] {
				name := v.name(r)
				n, err := d.Ledger.CountPending(v.r.Context(), v.User, r)
				if invites.UnlessUnseen(err) != nil {
					return err
				}
				p.List = append(p.List, shownRoom{r, name, initial(name), v.To(roomPath(r)), n, v.To(roomPath(r)+"/ledger", "fate", string(invites.FatePending))})
			}
		}
		rest, judged, after = rest[len(batch):], judged+len(batch), batch[len(batch)-1]
	}
	if len(rest) > 0 {
		p.Next = v.To("/rooms", "after", string(after))
	}
	v.Title, v.Tab = v.Say("dash.rooms"), "rooms"
	v.show(http.StatusOK, "rooms.html", p)
	return nil
}

// mayAudit tells of which rooms a person may read the audit.
func mayAudit(ctx context.Context, ledger Ledger, user id.UserID, rooms []id.RoomID) ([]bool, error) {
	may, errs := make([]bool, len(rooms)), make([]error, len(rooms))
	var judging sync.WaitGroup
	for i, r := range rooms {
		judging.Go(func() {
			err := ledger.MayAudit(ctx, user, r)
			may[i] = err == nil
			if !errors.Is(err, judge.ErrKickPower) {
				errs[i] = invites.UnlessUnseen(err)
			}
		})
	}
	judging.Wait()
	return may, errors.Join(errs...)
}
