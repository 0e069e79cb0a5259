package invites_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

// watched is the model homeserver with the oracle at its door.
type watched struct {
	*invitestest.Homeserver
	w       *story
	serving id.EventID // command that is being worked on
	again   bool       // by the queue
	fault   invites.Class
	hidden  int                 // which of what is asked for is kept back, from 1
	hide    int                 // for how many more snapshots
	legit   map[id.EventID]bool // policy events that their sender had the power to send
	wrong   string

	guarding bool                             // the guard is at work, for the event in serving
	approved map[question]bool                // cards that somebody with the power said yes to
	came     map[id.RoomID]map[id.UserID]bool // who is in a room uninvited
}

// lostAnswer makes an act take effect and seem to fail.
const lostAnswer = invites.ClassStopped + 2

var errLost = errors.New("made up")

// truth is all of a room's state.
func (h *watched) truth(r id.RoomID) *room.Snapshot {
	snap, err := h.Homeserver.Snapshot(context.Background(), r, "", nil, true)
	h.w.must(err)
	return snap
}

// Snapshot shows the room, but keeps some of it back when told to.
func (h *watched) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if h.hide == 0 {
		return h.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
	}
	h.w.tally.unseen++
	all := h.truth(r)
	events := map[room.Key]*room.Event{}
	for i, k := range needs {
		if i%6 != h.hidden-1 {
			events[k], _ = all.Event(k)
		}
	}
	h.hide--
	return room.NewSnapshot(room.State{Events: events}), nil
}

// Act makes the change and has the oracle judge it.
func (h *watched) Act(ctx context.Context, e invites.Effect) error {
	fault := h.fault
	h.fault = 0
	if fault > 0 && fault != lostAnswer {
		return &invites.ActError{Class: fault - 1, Code: "M_MADE_UP", Status: 500, Err: errLost}
	}
	before := h.truth(e.Room)
	if err := h.Homeserver.Act(ctx, e); err != nil {
		return err
	}
	h.w.say("! %s: %s of %s", e.Performer, e.Action, e.Target)
	h.w.tally.acts++
	if h.again {
		h.w.tally.later++
	}
	if h.guarding && e.Performer == bot && h.w.said[h.serving] == nil {
		h.judgeGuard(before, e)
	} else {
		h.judge(before, e)
	}
	h.note(before, e)
	if fault == lostAnswer {
		return &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errLost}
	}
	return nil
}

// direct has somebody do something without Usher, where the rules let them.
func (h *watched) direct(e invites.Effect) bool {
	before := h.truth(e.Room)
	if err := h.Homeserver.Act(context.Background(), e); err != nil {
		return false
	}
	h.w.say("%s: %s of %s in %s", e.Performer, e.Action, e.Target, e.Room)
	h.w.tally.direct++
	h.note(before, e)
	return true
}

// note remembers who came in without an invitation, and has the guard hear of it.
func (h *watched) note(before *room.Snapshot, e invites.Effect) {
	if was, _ := before.Membership(e.Target); e.Action == room.Join && was != "join" {
		if h.came[e.Room] == nil {
			h.came[e.Room] = map[id.UserID]bool{}
		}
		h.came[e.Room][e.Target] = was != "invite"
	}
	h.w.happened(e.Room, room.Key{Type: "m.room.member", StateKey: e.Target.String()})
}

// state has somebody change a room's state, where the rules let them.
func (h *watched) state(r id.RoomID, sender id.UserID, kind string, content any) {
	raw, err := json.Marshal(content)
	h.w.must(err)
	event, err := h.Homeserver.SendState(context.Background(), r, sender, room.Key{Type: kind}, raw)
	if err != nil {
		return
	}
	h.w.say("%s sets %s in %s: %s", sender, kind, r, raw)
	if kind == policy.EventType {
		h.legit[event] = true
		h.w.tally.policies++
	}
	h.w.happened(r, room.Key{Type: kind})
}

// SendState sets state as the service wants it and has the oracle judge it.
func (h *watched) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	fault := h.fault
	h.fault = 0
	if fault > 0 && fault != lostAnswer {
		return "", &invites.ActError{Class: fault - 1, Code: "M_MADE_UP", Status: 500, Err: errLost}
	}
	before := h.truth(r)
	event, err := h.Homeserver.SendState(ctx, r, as, k, content)
	if err != nil {
		return event, err
	}
	h.w.say("! %s sets %s: %s", as, k.Type, content)
	h.w.tally.setBack++
	h.judgeState(before, as, k, content)
	h.w.happened(r, k)
	if fault == lostAnswer {
		return "", &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errLost}
	}
	return event, nil
}

// judge is the oracle: it knows who asked for what, and reads the room and its policy with its own eyes.
func (h *watched) judge(before *room.Snapshot, e invites.Effect) {
	c := h.w.said[h.serving]
	wrong := func(format string, args ...any) {
		h.wrong = fmt.Sprintf("%s: %s of %s in %s by %s: ", h.serving, e.Action, e.Target, e.Room, e.Performer) + fmt.Sprintf(format, args...)
	}
	if c == nil {
		wrong("nobody asked for it")
		return
	}
	actor := c.actor
	autoJoin := e.Action == room.Join && c.action == room.Invite
	if autoJoin {
		actor = e.Target
	}
	byRules := room.Authorize(before, room.Action{Type: e.Action, Sender: actor, Target: e.Target}).Verdict == room.Allow
	why := "" // not granted by the policy
	if e.Action == room.Invite {
		why = h.against(before, actor, e)
	}
	switch {
	case c.takenBack:
		wrong("it was taken back")
	case e.Room != c.room || !slices.Contains(c.targets, e.Target) || e.Action != c.action && !autoJoin:
		wrong("that is not what was asked for")
	case autoJoin && !h.w.Self.AutoJoin(e.Target):
		wrong("nobody configured that they join")
	case e.Performer != bot && (e.Performer != actor || !h.w.Self.MayAssert(actor)):
		wrong("sent as somebody who did not ask")
	case why != "":
		wrong("the policy is against it: %s", why)
	case !byRules && !h.delegated(before, actor, e):
		wrong("%s may not do that", actor)
	case !byRules:
		h.w.tally.delegated++
	}
}

// doc is what the oracle knows of a policy.
type doc struct {
	Delegate bool `json:"delegate"`
	Ask      struct {
		Level   room.Level `json:"level"`
		Servers []string   `json:"servers"`
	} `json:"ask"`
	Whom struct {
		DenyUsers    []string `json:"deny_users"`
		AllowServers []string `json:"allow_servers"`
		IPLiterals   *bool    `json:"ip_literals"`
	} `json:"whom"`
	Approval struct {
		Required bool `json:"required"`
	} `json:"approval"`
	Nonsense map[string]any `json:"whom_ever"`
}

func (h *watched) policy(s *room.Snapshot) (d doc, event *room.Event) {
	if event, _ = s.Event(room.Key{Type: policy.EventType}); event != nil {
		h.w.must(json.Unmarshal(event.Content, &d))
	}
	return d, event
}

// delegated tells whether the room's policy grants an invitation to somebody who lacks nothing but the power to invite.
func (h *watched) delegated(s *room.Snapshot, actor id.UserID, e invites.Effect) bool {
	d, event := h.policy(s)
	membership, _ := s.Membership(actor)
	return event != nil && h.legit[event.ID] && d.Delegate && e.Action == room.Invite && e.Performer == bot && membership == "join"
}

// against says what a policy has against an invitation.
func (h *watched) against(s *room.Snapshot, actor id.UserID, e invites.Effect) string {
	d, event := h.policy(s)
	power, _ := s.Power(actor)
	switch {
	case event == nil:
		return ""
	case d.Nonsense != nil:
		return "it is malformed"
	case power < d.Ask.Level:
		return "ask.level"
	case len(d.Ask.Servers) > 0 && actor.Homeserver() != "here" && actor[1] != 'd':
		return "ask.servers, ask.users"
	case slices.Contains(d.Whom.DenyUsers, e.Target.String()):
		return "whom.deny_users"
	case len(d.Whom.AllowServers) > 0 && e.Target.Homeserver() != "there":
		return "whom.allow_servers"
	case d.Whom.IPLiterals != nil && !*d.Whom.IPLiterals && e.Target.Homeserver() == "10.0.0.1":
		return "whom.ip_literals"
	case d.Approval.Required && !h.approved[question{h.serving, room.Invite, e.Room, e.Target}] && !h.approved[question{h.serving, room.Knock, e.Room, e.Target}]:
		return "approval.required"
	}
	return ""
}
