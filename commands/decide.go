package commands

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// Reaction returns the event that an m.reaction event is on, and its key.
func Reaction(raw json.RawMessage) (on id.EventID, key string) {
	relation := exactjson.Get(raw, "content", "m.relates_to")
	return id.EventID(relation.Get("event_id").Text()), relation.Get("key").Text()
}

// Decide carries out a command after a reaction to its card. decided is false if the reaction is not by the sender of the command, or
// the command makes no card.
func (r *Runner) Decide(ctx context.Context, ev invites.Received, by id.UserID, yes bool) (m Message, reply Reply, decided bool, err error) {
	m, err = Parse(ev)
	if err != nil || by != ev.Sender {
		return m, reply, false, nil
	}
	g, _ := r.given(m)
	command := r.find(g.name)
	if command == nil || command.Decide == nil {
		return m, reply, false, nil
	}
	c := r.newCall(ev, m, command)
	if ev.Redacted {
		reply.Text.Say("redacted")
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
