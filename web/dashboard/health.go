package dashboard

import (
	"net/http"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// State is how Usher is doing.
type State struct {
	Version    string
	Faults     []room.Phrase // that keep it from working
	Events     int           // waiting for their handler
	Oldest     time.Time     // when the oldest of them came; zero: none waits
	Open       int           // changes under way
	Due        time.Time     // since when the first of them is due; zero: none is
	Quarantine int           // events that could not be decoded
	Rooms      int

	Waiting []invites.Received    // the first of Events
	Next    []invites.Change      // the first of Open
	Unread  []invites.Undecodable // the last of Quarantine
}

// MaxState is how many rows of each kind a State has.
const MaxState = 20

// healthPage shows how Usher is doing.
type healthPage struct {
	*visit
	State
	Faults []string
}

// Most is how many rows of each kind are shown.
func (healthPage) Most() int { return MaxState }

// Did words an action.
func (p healthPage) Did(a room.ActionType) string { return did(p.visit, a) }

// Into is the address of the page about a room.
func (p healthPage) Into(r id.RoomID) string { return p.To(roomPath(r)) }

// health shows operators how Usher is doing.
func (d *Dashboard) health(v *visit) error {
	if !v.Operator {
		return errHidden
	}
	state, err := d.Health.State(v.r.Context())
	if err != nil {
		return err
	}
	v.Title, v.Tab = v.Say("dash.health"), "health"
	p := healthPage{visit: v, State: state}
	for _, fault := range state.Faults {
		p.Faults = append(p.Faults, v.Tell(fault))
	}
	v.show(http.StatusOK, "health.html", p)
	return nil
}
