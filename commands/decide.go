package commands

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Reaction reads what an m.reaction event is on, and its key.
func Reaction(raw json.RawMessage) (on id.EventID, key string) {
	relation := object(object(object(raw)["content"])["m.relates_to"])
	return id.EventID(str(relation["event_id"])), str(relation["key"])
}

// Decide runs what a command does when somebody has reacted to the card that it made. decided is false where the reaction
// is not for them to give.
func (d *Runner) Decide(ctx context.Context, ev invites.Received, by id.UserID, yes bool) (m Message, reply Reply, decided bool, err error) {
	m, err = Parse(ev)
	if err != nil || by != ev.Sender {
		return m, reply, false, nil
	}
	g, _ := d.given(m)
	command := d.find(g.name)
	if command == nil || command.Decide == nil {
		return m, reply, false, nil
	}
	c := d.newCall(ev, m, command)
	if ev.Redacted {
		reply.Text.Say("The command was taken back, so I left it.")
		return m, reply, true, nil
	}
	if reply, refused := c.refuse(); refused {
		return m, reply, true, nil
	}
	if err = c.read(g); err == nil {
		reply, err = command.Decide(ctx, c, yes)
	}
	reply, err = faultless(reply, err)
	return m, reply, true, err
}
