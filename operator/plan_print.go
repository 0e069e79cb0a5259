package operator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/plan"
	"usher/room"
	"usher/words"
)

// planPrinter prints the status of a job.
type planPrinter struct {
	out   io.Writer
	raw   io.Writer // takes colours
	o     PlanOptions
	file  string
	dry   bool // Apply was asked for, and does not act
	shown bool // the difference is printed
	said  int  // open steps, as said last
}

// Colours of a terminal, by the kind of a step.
const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// marks are the sign and the colour of each kind.
func marks(k plan.Kind) (sign, color string) {
	switch k {
	case plan.Invite:
		return "+", green
	case plan.Remove:
		return "-", red
	case plan.Power:
		return "~", yellow
	case plan.Refuse:
		return "!", red
	}
	return ".", ""
}

// text words a phrase. The words are made visible before colours come in.
func (p *planPrinter) text(phrase room.Phrase) string {
	return words.Visible(words.For("").Text(phrase))
}

// line words a step.
func (p *planPrinter) line(s plan.Step) string {
	switch s.Kind {
	case plan.Invite:
		return p.text(room.Say("planned.invite"))
	case plan.Remove:
		return p.text(room.Say("planned.remove"))
	case plan.Power:
		return p.text(room.Say("planned.power", "was", s.Was, "power", s.Power))
	case plan.Busy:
		return p.text(room.Say("planned.busy"))
	case plan.Wait:
		until := s.Until.UTC().Format("2006-01-02 15:04 UTC")
		if s.First {
			return p.text(room.Say("planned.wait.first", "until", until))
		}
		return p.text(room.Say("planned.wait", "until", until))
	}
	return p.text(s.Would.Refusal(s.Code, s.Because))
}

// difference prints what lies between the wish and its rooms.
func (p *planPrinter) difference(d *plan.Difference) {
	p.shown = true
	for _, r := range d.Rooms {
		if r.Code != "" {
			fmt.Fprintln(p.out, p.text(room.Say("planned.head.refused", "name", r.Name, "code", r.Code).Holding(r.Because)))
			continue
		}
		shownID := r.Room
		if string(shownID) == r.Name {
			shownID = ""
		}
		fmt.Fprintln(p.out, p.text(room.Say("planned.head", "name", r.Name, "id", shownID, "members", r.Members, "same", r.Same)))
		for _, s := range r.Steps {
			sign, color := marks(s.Kind)
			end := plain
			if !p.o.Color || color == "" {
				color, end = "", ""
			}
			fmt.Fprintf(p.raw, "  %s%s %s  %s%s\n", color, sign, words.Visible(string(s.User)), p.line(s), end)
		}
	}
	sum := room.Say("planned.sum", "plan", d.Plan, "invite", len(d.Steps(plan.Invite)), "remove", len(d.Steps(plan.Remove)), "power", len(d.Steps(plan.Power)), "refused", d.Refused())
	if !d.Changes() && d.Refused() == 0 {
		sum = room.Say("planned.none", "plan", d.Plan)
	}
	fmt.Fprintln(p.out, p.text(sum))
}

// progress prints that the work goes on.
func (p *planPrinter) progress(status plan.Status) {
	if p.o.JSON {
		return
	}
	if status.Difference != nil && !p.shown {
		p.difference(status.Difference)
	}
	if run := status.Run; run != nil && len(run.Steps) > 0 && run.Open > 0 && run.Open != p.said {
		p.said = run.Open
		fmt.Fprintln(p.out, p.text(room.Say("planned.begun", "open", run.Open, "n", len(run.Steps))))
	}
}

// print prints the end of a job.
func (p *planPrinter) print(status plan.Status, applied bool) error {
	if p.o.JSON {
		return p.object(status)
	}
	if status.Difference != nil && len(status.Difference.Rooms) > 0 && !p.shown {
		p.difference(status.Difference)
	}
	switch {
	case status.State == plan.Planned && status.Difference != nil:
		var f *plan.Fault
		if errors.As(status.Difference.Brake(p.o.Confirm), &f) {
			fmt.Fprintln(p.out, p.text(room.Say("planned.brake").Holding(plan.WithFile(f.Phrase, p.file))))
		}
		if p.dry && status.Difference.Changes() {
			fmt.Fprintln(p.out, p.text(room.Say("planned.dry")))
		}
	case status.State == plan.Ended && applied && len(status.Run.Steps) > 0:
		refused := 0
		for _, s := range status.Run.Steps {
			if s.Code != invites.CodeDone {
				refused++
				fmt.Fprintln(p.out, p.text(room.Say("planned.refused", "target", s.User).Holding(s.Kind.Refusal(s.Code, s.Because))))
			}
		}
		n := len(status.Run.Steps)
		fmt.Fprintln(p.out, p.text(room.Say("planned.applied", "done", n-refused, "n", n, "refused", refused)))
	}
	return nil
}

// planStep is a step in JSON.
type planStep struct {
	Kind    plan.Kind `json:"kind"`
	User    id.UserID `json:"user"`
	Room    id.RoomID `json:"room"`
	Was     *int64    `json:"was,omitempty"`
	Power   *int64    `json:"power,omitempty"`
	Would   plan.Kind `json:"would,omitempty"`
	Code    string    `json:"code,omitempty"`
	Because string    `json:"because,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

func (p *planPrinter) steps(list []plan.Step) []planStep {
	all := make([]planStep, len(list))
	for i, s := range list {
		all[i] = planStep{Kind: s.Kind, User: s.User, Room: s.Room, Would: s.Would, Code: s.Code, Because: words.For("").Text(s.Because), Until: s.Until}
		if s.Kind == plan.Power {
			all[i].Was, all[i].Power = &list[i].Was, &list[i].Power
		}
	}
	return all
}

// object prints a status as one JSON object in a line.
func (p *planPrinter) object(status plan.Status) error {
	type diff struct {
		Name    string     `json:"name"`
		Room    id.RoomID  `json:"room,omitempty"`
		Members int        `json:"members"`
		Same    int        `json:"same"`
		Code    string     `json:"code,omitempty"`
		Because string     `json:"because,omitempty"`
		Steps   []planStep `json:"steps"`
	}
	object := struct {
		State   plan.State `json:"state"`
		Plan    string     `json:"plan,omitempty"`
		Changes bool       `json:"changes"`
		Code    string     `json:"code,omitempty"`
		Because string     `json:"because,omitempty"`
		Rooms   []diff     `json:"rooms"`
		Done    []planStep `json:"done,omitempty"`
	}{State: status.State, Code: status.Code, Because: words.For("").Text(status.Because), Rooms: []diff{}}
	if d := status.Difference; d != nil {
		object.Plan, object.Changes = d.Plan, d.Changes()
		for _, r := range d.Rooms {
			object.Rooms = append(object.Rooms, diff{r.Name, r.Room, r.Members, r.Same, r.Code, words.For("").Text(r.Because), p.steps(r.Steps)})
		}
	}
	if status.Run != nil {
		object.Done = p.steps(status.Run.Steps)
	}
	lines := json.NewEncoder(p.out)
	lines.SetEscapeHTML(false)
	return lines.Encode(object)
}
