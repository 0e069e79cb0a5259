package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

func policyCommand() Command {
	field := aWord("field", "the path of a field, such as whom.max_members", "Which field?")
	change := field
	other := aRoom("from", "the other room", "From which room?")
	other.shown = "room"
	change.missing = "Which field, and what value? {prefix}policy fields lists them."
	return Command{
		Name: "policy", Level: User,
		About:  "Shows the room's policy: who may invite whom, how often, with whose approval. Those who may send that state event change it.",
		Before: []Param{inRoom()},
		Parts: []Part{
			{Name: "show", About: "Shows the room's policy.", Run: inPolicyRoom(showPolicy)},
			{Name: "set", About: "Sets a field of the room's policy.", Params: []Param{change, line("value", "the value", change.missing)}, Run: inPolicyRoom(setPolicy)},
			{Name: "unset", About: "Removes a field from the room's policy.", Params: []Param{field}, Run: inPolicyRoom(unsetPolicy)},
			{Name: "reset", About: "Removes the room's policy.", Run: inPolicyRoom(resetPolicy)},
			{Name: "history", About: "Lists the changes of the room's policy.", Run: inPolicyRoom(policyHistory)},
			{Name: "test", About: "Says whether somebody could invite somebody. Nothing is done.", Params: testParams(), Run: inPolicyRoom(testPolicy)},
			{Name: "copy", About: "Replaces the room's policy by that of another room.",
				Params: []Param{other}, Run: inPolicyRoom(copyPolicy)},
			{Name: "preset", About: "Replaces the room's policy by a ready-made one, or lists these.",
				Params: []Param{aWord("name", "the name of the preset", "").optional()}, Run: inPolicyRoom(presetPolicy)},
			{Name: "fields", About: "Lists the fields of a policy.", Run: inPolicyRoom(policyFields)},
		},
		Run: inPolicyRoom(showPolicy),
	}
}

func testParams() []Param {
	actor, action, targets := user(), choice("action", "the action", string(room.Invite)), users()
	actor.Key = "actor"
	for _, p := range []*Param{&actor, &action, &targets} {
		p.missing = "Say who, invite, and whom."
	}
	return []Param{actor, action, targets}
}

// inPolicyRoom runs a function on the room that a command about policies is about; the room's members alone hear of it.
func inPolicyRoom(run func(context.Context, *Call, id.RoomID) (Reply, error)) run {
	return func(ctx context.Context, c *Call) (Reply, error) {
		in, err := c.joinedRoom(ctx)
		if err != nil {
			return Reply{}, asFault(err)
		}
		reply, err := run(ctx, c, in)
		return reply, asFault(err)
	}
}

// asFault shows people why something was refused.
func asFault(err error) error {
	var refusal requests.Refusal
	var bad policy.Malformed
	switch {
	case errors.As(err, &refusal):
		return faultf("%s (%s)", refusal.Text, refusal.Code)
	case errors.As(err, &bad):
		return faultf("%s. (policy.edit.value)", said(bad.Phrase()))
	case errors.Is(err, invites.ErrNoView):
		return faultf("I can't see that room. (%s)", requests.CodeEditView)
	}
	return err
}

func showPolicy(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	if err != nil {
		return reply, err
	}
	t := &reply.Text
	if p == nil || len(p.Paths()) == 0 && p.Fault() == nil {
		t.Say("This room has no policy: people invite by the room's own power levels. ").
			Code(c.Prefix + "policy preset").Say(" offers some to begin with.")
		return reply, nil
	}
	if bad := p.Fault(); bad != nil {
		t.Say("⚠️ The policy in ").Code(string(bad.Room)).Say(" can't be read, so I invite nobody: " + said(bad.Fault.Phrase()) + ".").Reason(string(policy.CodeMalformed))
	}
	for _, path := range p.Paths() {
		field, _ := policy.Lookup(path)
		from, _ := p.From(path)
		if !t.Empty() {
			t.Line()
		}
		t.Say(said(field.Phrase(&p.Document)) + " ").Code(path)
		if from.Room != in {
			t.Say(" from ").Code(string(from.Room))
		}
	}
	return reply, nil
}

func policyFields(_ context.Context, _ *Call, _ id.RoomID) (reply Reply, err error) {
	reply.Text.Say("What a policy may set:")
	for _, f := range policy.Fields() {
		reply.Text.Line().Code(f.Path).Say(" — " + said(f.About()) + "; " + said(f.Takes()))
	}
	reply.Text.Line().Code("guard.levels.<name>").Say(" — a power level that the room is to keep, as invite, kick, ban or events.m.room.join_rules")
	return reply, nil
}

// own reads the room's own policy for a change. One that can't be read is not changed by halves.
func (c *Call) own(ctx context.Context, in id.RoomID) (policy.Layer, error) {
	source, err := c.Judge.Policies.Own(ctx, in, c.Message.Sender)
	if err == nil && source.Fault != nil {
		err = faultf("The room's policy can't be read: %s. Start over with %spolicy reset. (%s)", said(source.Fault.Phrase()), c.Prefix, policy.CodeMalformed)
	}
	return source.Layer, err
}

// write sets the room's policy and says what it says now.
func (c *Call) write(ctx context.Context, in id.RoomID, layer policy.Layer, say string) (reply Reply, err error) {
	by, err := c.Policies.Write(ctx, c.Message.Event, in, c.Message.Sender, layer)
	if err != nil {
		return reply, err
	}
	reply.React = "✅"
	reply.Text.Say(say)
	if by != c.Message.Sender {
		reply.Text.Say(" I wrote it myself, since I can't act as you.")
	}
	return reply, nil
}

func setPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	path, levels := c.words["field"][0].text, "guard.levels."
	if n := len(levels); len(path) > n && strings.EqualFold(path[:n], levels) {
		path = levels + path[n:] // event types have capitals
	} else {
		path = strings.ToLower(path)
	}
	value, err := c.value(ctx, c.words["value"])
	if err != nil {
		return Reply{}, err
	}
	if layer, err = layer.With(path, value); err != nil {
		return Reply{}, err
	}
	field, _ := policy.Lookup(path)
	doc := policy.Merge(policy.Source{Layer: layer}).Document
	return c.write(ctx, in, layer, said(field.Phrase(&doc)))
}

// value reads words as the value of a field: people and rooms may be given as links, rooms as aliases.
func (c *Call) value(ctx context.Context, words []word) (string, error) {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = w.text
		switch sigil, full, _ := w.identifier(); sigil {
		case '@', '!':
			parts[i] = full
		case '#':
			p, ok := w.place()
			if !ok {
				return "", faultf("%s is no room.", w.text)
			}
			r, _, err := c.resolve(ctx, p)
			if err != nil {
				return "", err
			}
			parts[i] = string(r)
		}
	}
	return strings.Join(parts, " "), nil
}

func unsetPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	path := c.words["field"][0].text
	without := layer.Without(path)
	if len(without.Paths()) == len(layer.Paths()) {
		return Reply{}, faultf("This room's own policy does not set %s. (policy.edit.value)", path)
	}
	return c.write(ctx, in, without, "This room does not set "+path+" any more; what a space above it sets counts, or else nothing.")
}

func resetPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	return c.write(ctx, in, policy.Layer{}, "This room has no policy of its own any more.")
}

func presetPolicy(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	if !c.has("name") {
		reply.Text.Say("Policies to begin with; each replaces all that this room sets:")
		for _, p := range policy.Presets() {
			reply.Text.Line().Code(c.Prefix + "policy preset " + p.Name).Say(" — " + said(p.About()))
		}
		return reply, nil
	}
	presets := policy.Presets()
	i := slices.IndexFunc(presets, func(p policy.Preset) bool { return p.Name == strings.ToLower(c.text("name")) })
	if i < 0 {
		return reply, c.usage("I know no such preset.")
	}
	return c.write(ctx, in, presets[i].Layer(), "The policy is now “"+presets[i].Name+"”: "+said(presets[i].About())+".")
}

func copyPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	from, _, err := c.room(ctx, "from")
	if err != nil {
		return Reply{}, err
	}
	if err := c.Judge.Reach.Member(ctx, from, c.Message.Sender); err != nil {
		return Reply{}, err
	}
	layer, err := c.own(ctx, from)
	if err != nil {
		return Reply{}, err
	}
	if layer.Empty() {
		return Reply{}, faultf("%s has no policy of its own. (policy.edit.value)", from)
	}
	return c.write(ctx, in, layer, "This room's policy is now that of "+string(from)+".")
}

func policyHistory(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	const limit = 10
	revisions, err := c.Policies.History(ctx, in, c.Message.Sender, limit)
	if err != nil {
		return reply, err
	}
	if len(revisions) == 0 {
		reply.Text.Say("This room never had a policy of its own, as far as I can see.")
		return reply, nil
	}
	for i, rev := range revisions {
		if i > 0 {
			reply.Text.Line()
		}
		reply.Text.Say(rev.At.UTC().Format("2006-01-02 15:04") + " UTC ").Code(string(rev.By))
		if rev.For != "" {
			reply.Text.Say(" for ").Code(string(rev.For))
		}
		reply.Text.Say(": " + changes(rev))
	}
	return reply, nil
}

// changes words the difference between two versions of a policy.
func changes(rev requests.Revision) string {
	if rev.Fault != nil {
		return "something that I can't read"
	}
	var parts []string
	for _, path := range rev.After.Paths() {
		if now := rev.After.Text(path); !rev.Before.Has(path) || rev.Before.Text(path) != now {
			parts = append(parts, path+" = "+now)
		}
	}
	for _, path := range rev.Before.Paths() {
		if !rev.After.Has(path) {
			parts = append(parts, "no "+path)
		}
	}
	if len(parts) == 0 {
		return "no change"
	}
	return strings.Join(parts, ", ")
}

// testPolicy is a dry run for somebody else. It reads as the bot or as the one who asks, never as the one asked about.
func testPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	actor := c.person("actor")
	reply, err := c.judge(ctx, requests.Request{
		Actor: actor, Viewer: c.Message.Sender, Action: room.Invite, Room: in, Targets: c.people("user"),
	})
	var text Text
	text.Say("To ").Code(string(actor)).Say(" I would say: ").Add(reply.Text)
	reply.Text = text
	return reply, err
}
