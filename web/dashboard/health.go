package dashboard

import (
	"net/http"
	"time"

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
}

// healthPage shows how Usher is doing.
type healthPage struct {
	*visit
	State
	Faults []string
}

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
