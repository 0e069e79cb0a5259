package commands

import (
	"context"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/room"
	"usher/words"
)

func moveCommand() Command {
	old := aRoom("from", room.Say("param.move.from"), room.Phrase{}).optional()
	old.shown = "old room"
	return Command{
		Name: "move", Level: User,
		Words: []string{"migrate", "umziehen"}, See: []string{"upgrade", "invite"},
		Parts: []Part{
			{Name: "from", Params: []Param{
				old, inRoom(), reason(), aWord("remind", room.Say("param.move.remind"), room.Phrase{}).option(), dryRun(), asBot(),
			}, Run: moveFrom},
			{Name: "status", Params: []Param{inRoom()}, Run: moveStatus},
			{Name: "stop", Params: []Param{inRoom()}, Run: moveStop},
		},
		Run: moveStatus,
	}
}

// moveFrom previews the invitation of the members of another room, and asks for a confirmation, as !invite --from does.
func moveFrom(ctx context.Context, c *Call) (reply Reply, err error) {
	m := &invites.Move{Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Remind: moves.RemindAfter}
	switch text := strings.ToLower(c.text("remind")); text {
	case "":
	case "never", "no", "off", "0", "nie", "nein", "aus":
		m.Remind = 0
	default:
		if m.Remind, err = (linkCall{Call: c}).span(ctx, "remind"); err == nil && m.Remind > moves.MaxRemind {
			err = c.usage(room.Say("mover.remind.most", "most", moves.MaxRemind))
		}
	}
	if err == nil && c.has("reason") && !c.has("from") {
		err = c.noRoom(c.words["reason"][0])
	}
	if err == nil {
		m.New, _, err = c.room(ctx, "room")
	}
	if err != nil {
		return reply, err
	}
	return inviteMany(ctx, &list{c, nil, m})
}

// propose puts the people of a move into their order, and keeps it.
func (c *list) propose(ctx context.Context, req requests.Request, t *Text) error {
	spoke, err := c.Movers.Order(ctx, c.move.Old, c.Message.Sender, req.Targets)
	if err != nil {
		return err
	}
	t.Line().Say("mover.order", "n", spoke)
	if c.move.Remind > 0 {
		t.Line().Say("mover.remind", "after", c.move.Remind)
	}
	return c.Movers.Propose(ctx, *c.move)
}

// source is the room of --from, or the one that the room of a move replaces.
func (c *list) source(ctx context.Context) (from id.RoomID, err error) {
	if c.has("from") {
		from, _, err = c.resolve(ctx, c.words["from"][0].read(c.asker).place)
	}
	if c.move == nil || err != nil {
		return from, err
	}
	if from == "" {
		if from, err = c.Judge.Reach.Predecessor(ctx, c.move.New, c.Message.Sender); err != nil {
			return "", err
		}
	}
	switch c.move.Old = from; from {
	case "":
		return "", fault(room.Say("mover.which", "prefix", c.Prefix))
	case c.move.New:
		return "", fault(room.Say("mover.same"))
	}
	return from, nil
}

// moveStatus tells how many have come.
func moveStatus(ctx context.Context, c *Call) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	list, err := c.Movers.Into(ctx, in, c.Message.Sender)
	if err != nil {
		return reply, moverFault(err)
	}
	if len(list) == 0 {
		reply.Text.Say("mover.none", "prefix", c.Prefix)
	}
	for i, m := range list {
		if i > 0 {
			reply.Text.Line()
		}
		tellMoved(&reply.Text, m, c.Clock.Now())
	}
	return reply, nil
}

// tellMoved tells how one move stands.
func tellMoved(t *Text, m moves.Moved, now time.Time) {
	t.Say("mover.came", "n", m.All-m.Here, "came", m.Came, "room", m.Old, "age", now.Sub(m.CreatedAt))
	for _, some := range []room.Phrase{
		room.Say("mover.here", "n", m.Here), room.Say("mover.open", "n", m.Open), room.Say("mover.declined", "n", m.Declined), room.Say("mover.gone", "n", m.Gone),
		room.Say("mover.waiting", "n", m.Waiting), room.Say("mover.refused", "n", m.Refused), room.Say("mover.stopped", "n", m.Stopped),
	} {
		if some.Args["n"] != "0" {
			t.Line().Tell(some)
		}
	}
	switch {
	case !m.RemindedAt.IsZero():
		t.Line().Say("mover.reminded", "age", now.Sub(m.RemindedAt))
	case m.Remind > 0 && !m.DueAt.IsZero():
		t.Line().Say("mover.remind", "after", m.Remind)
	}
}

// moveStop stops the moves into a room.
func moveStop(ctx context.Context, c *Call) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	n, err := c.Movers.Stop(ctx, in, c.Message.Sender)
	switch {
	case err != nil:
		return reply, moverFault(err)
	case n == 0:
		reply.Text.Say("mover.idle")
	default:
		reply.React = "✅"
	}
	return reply, nil
}

// moverFault refuses a question about the moves of others.
func moverFault(err error) error {
	if errors.Is(err, judge.ErrKickPower) {
		return fault(room.Say("mover.others"))
	}
	return err
}

// maxReminded is how many people a reminder names and mentions.
const maxReminded = 30

// MoveReminder is the one message in the old room about people who have not come. It mentions them.
func (n Notices) MoveReminder(r invites.MoveReminder) Reply {
	reply := Reply{Aloud: true}
	reply.Text.Say("mover.reminder", "n", len(r.Users), "room", r.New, "actor", r.Actor).Line()
	var people []words.Run
	for i, user := range r.Users {
		if i == maxReminded {
			break
		}
		if i > 0 {
			people = append(people, words.Run{Text: ", "})
		}
		people = append(people, words.Run{Text: string(user), Link: string(user)})
		reply.Call = append(reply.Call, user)
	}
	reply.Text.Quote(people...)
	if more := len(r.Users) - maxReminded; more > 0 {
		reply.Text.Say("more.people", "n", more)
	}
	return reply
}

// NotReminded tells the actor of a move that people can't be reminded in the old room.
func (n Notices) NotReminded(r invites.MoveReminder) Reply {
	reply := Reply{Mention: true}
	reply.Text.Say("mover.mute", "n", len(r.Users), "room", r.Old)
	return reply
}
