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
	field := aWord("field", room.Say("param.field"), room.Say("missing.field"))
	change := field
	other := aRoom("from", room.Say("param.room.from"), room.Say("missing.from"))
	other.shown = "room"
	change.missing = room.Phrase{Key: "missing.value"}
	return Command{
		Name: "policy", Level: User,
		Words: []string{"policies"}, Loose: []string{"rules", "regeln", "config", "settings", "set"},
		See:    []string{"lists", "why"},
		Before: []Param{inRoom()},
		Parts: []Part{
			{Name: "show", Run: inPolicyRoom(showPolicy)},
			{Name: "set", Params: []Param{change, line("value", room.Say("param.value"), change.missing), takeOver()}, Run: inPolicyRoom(setPolicy)},
			{Name: "unset", Params: []Param{field, takeOver()}, Run: inPolicyRoom(unsetPolicy)},
			{Name: "reset", Run: inPolicyRoom(resetPolicy)},
			{Name: "history", Run: inPolicyRoom(policyHistory)},
			{Name: "revert", Params: []Param{takeOver()}, Run: inPolicyRoom(revertPolicy)},
			{Name: "test", Params: testParams(), Run: inPolicyRoom(testPolicy)},
			{Name: "copy",
				Params: []Param{other, takeOver()}, Run: inPolicyRoom(copyPolicy)},
			{Name: "preset",
				Params: []Param{aWord("name", room.Say("param.preset"), room.Phrase{}).optional(), takeOver()}, Run: inPolicyRoom(presetPolicy)},
			{Name: "fields", Params: []Param{aWord("part", room.Say("param.part"), room.Phrase{}).optional()}, Run: inPolicyRoom(policyFields)},
		},
		Run: inPolicyRoom(showPolicy),
	}
}

func testParams() []Param {
	actor, action, targets := user(), choice("action", room.Say("param.action"), string(room.Invite)), users()
	actor.Key = "actor"
	for _, p := range []*Param{&actor, &action, &targets} {
		p.missing = room.Say("missing.test")
	}
	return []Param{actor, action, targets}
}

// inPolicyRoom runs a function on the room of a command about policies. The asker must be in the room.
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
		return fault(room.Say("policy.refused", "code", refusal.Code).Holding(refusal.Phrase))
	case errors.As(err, &bad):
		return fault(room.Say("policy.value").Holding(bad.Phrase()))
	case errors.Is(err, invites.ErrNoView):
		return fault(room.Say("policy.no_view", "code", requests.CodeEditView))
	}
	return err
}

func showPolicy(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	if _, err := c.Judge.Policies.Own(ctx, in, c.Message.Sender); err != nil { // past the cache: not every homeserver tells of redactions
		return reply, err
	}
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	if err != nil {
		return reply, err
	}
	t := &reply.Text
	if p == nil || len(p.Paths()) == 0 && p.Fault() == nil {
		t.Say("policy.none", "prefix", c.Prefix)
		return reply, nil
	}
	if bad := p.Fault(); bad != nil {
		t.Tell(room.Say("policy.unreadable", "room", bad.Room).Holding(bad.Fault.Phrase())).Reason(string(policy.CodeMalformed))
	}
	last := ""
	for _, path := range p.Paths() {
		field, _ := policy.Lookup(path)
		from, _ := p.From(path)
		sentence := field.Phrase(&p.Document)
		if same := string(from.Room) + " " + sentence.String(); same == last {
			continue // of a rate, both fields have the same sentence
		} else {
			last = same
		}
		if !t.Empty() {
			t.Line()
		}
		if from.Room == in {
			from.Room = ""
		}
		t.Tell(room.Say("policy.row", "path", path, "from", from.Room).Holding(sentence))
	}
	return reply, nil
}

// policyFields lists the fields of a policy, or the fields with a word in their path.
func policyFields(_ context.Context, c *Call, _ id.RoomID) (reply Reply, err error) {
	part := strings.ToLower(c.text("part"))
	reply.Text.Say("policy.fields")
	shown := 0
	for _, f := range policy.Fields() {
		if strings.Contains(f.Path, part) {
			shown++
			reply.Text.Line().Tell(room.Say("policy.field", "path", f.Path).Holding(f.About(), f.Takes()))
		}
	}
	levels := strings.Contains("guard.levels", part)
	if levels {
		reply.Text.Line().Say("policy.levels")
	}
	if shown == 0 && !levels {
		return Reply{}, noField(part)
	}
	return reply, nil
}

// noField refuses the path of an unknown field.
func noField(path string) error {
	var known []string
	for _, f := range policy.Fields() {
		known = append(known, f.Path)
		if first, _, nested := strings.Cut(f.Path, "."); nested && !slices.Contains(known, first) {
			known = append(known, first)
		}
	}
	return fault(room.Sentences(room.Say("no.field", "text", path), suggest(path, known, "")))
}

// own reads the room's own policy for a change. An unreadable policy is a fault: it can only be replaced as a whole.
func (c *Call) own(ctx context.Context, in id.RoomID) (policy.Layer, error) {
	source, err := c.Judge.Policies.Own(ctx, in, c.Message.Sender)
	if err == nil && source.Fault != nil {
		err = fault(room.Say("policy.start_over", "prefix", c.Prefix).Holding(source.Fault.Phrase()))
	}
	return source.Layer, err
}

// write sets the room's policy and says so.
func (c *Call) write(ctx context.Context, in id.RoomID, layer policy.Layer, say room.Phrase) (reply Reply, err error) {
	return c.edit(ctx, requests.Edit{Room: in, Layer: layer}, say)
}

// edit carries out a change of a policy for the sender of the command.
func (c *Call) edit(ctx context.Context, e requests.Edit, say room.Phrase) (reply Reply, err error) {
	e.Command, e.Actor, e.TakeOver = c.Message.Event, c.Message.Sender, c.has("take-over")
	by, err := c.Policies.Write(ctx, e)
	if err != nil {
		return reply, err
	}
	reply.React = "✅"
	reply.Text.Tell(say)
	if by != c.Message.Sender {
		reply.Text.Say("policy.by_me")
	}
	return reply, errors.Join(warnPowerless(ctx, c, e, &reply.Text), warnUnseen(ctx, c, e, &reply.Text))
}

// warnUnseen tells of a policy of a space whose cards nobody would see: clients do not show the messages of a space.
func warnUnseen(ctx context.Context, c *Call, e requests.Edit, t *Text) error {
	doc := policy.Merge(policy.Source{Layer: e.Layer}).Document
	knocks, approval := doc.Knocks.Desk && doc.Knocks.Room == "", doc.Approval.Required && doc.Approval.Room == ""
	if !knocks && !approval {
		return nil
	}
	space, err := c.Judge.Reach.IsSpace(ctx, e.Room, c.Message.Sender)
	if err != nil || !space {
		return err
	}
	if knocks {
		t.Say("policy.unseen", "prefix", c.Prefix, "path", "knocks.room")
	}
	if approval {
		t.Say("policy.unseen", "prefix", c.Prefix, "path", "approval.room")
	}
	return nil
}

// warnPowerless tells of a policy that has the bot invite for people, while the bot lacks the power to invite.
func warnPowerless(ctx context.Context, c *Call, e requests.Edit, t *Text) error {
	if e.Layer.Text("delegate") != "true" {
		return nil
	}
	q := policy.Question{Action: room.Invite, Actor: c.Self.Bot, Performer: c.Self.Bot, Target: id.NewUserID("nobody", "invalid")}
	j, err := c.Judge.Decide(ctx, e.Room, q, policy.Facts{Paid: true, Itself: true, Approved: true}, nil)
	if err == nil && j.Decision.Verdict == room.Deny && j.Decision.Code == room.RuleInvitePower {
		t.Tell(room.Say("policy.powerless").Holding(policy.Explain(q, asMine(j.Decision)).Phrase()))
	}
	return err
}

func setPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	path, levels := c.words["field"][0].text, "guard.levels."
	if n := len(levels); len(path) > n && strings.EqualFold(path[:n], levels) {
		path = levels + path[n:] // event types have capitals
	} else {
		path = strings.ToLower(path)
	}
	value, err := c.value(ctx, c.words["value"])
	if field, known := policy.Lookup(path); known && field.Prose() {
		value, err = prose(c.words["value"]), nil
	}
	if err != nil {
		return Reply{}, err
	}
	if path == "language" {
		if value, err = spoken(value); err != nil {
			return Reply{}, err
		}
	}
	return setField(ctx, c, in, path, value)
}

// setField sets a field of the room's own policy.
func setField(ctx context.Context, c *Call, in id.RoomID, path, value string) (Reply, error) {
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	field, known := policy.Lookup(path)
	if !known {
		return Reply{}, noField(path)
	}
	if layer, err = layer.With(path, value); err != nil {
		return Reply{}, err
	}
	doc := policy.Merge(policy.Source{Layer: layer}).Document
	return c.edit(ctx, requests.Edit{Room: in, Layer: layer, Field: path}, field.Phrase(&doc))
}

func unsetPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	path := c.words["field"][0].text
	without := layer.Without(path)
	if len(without.Paths()) == len(layer.Paths()) {
		if _, known := policy.Lookup(path); !known {
			return Reply{}, noField(path)
		}
		return Reply{}, fault(room.Say("policy.not_set", "path", path))
	}
	return c.write(ctx, in, without, room.Say("policy.unset", "path", path))
}

func resetPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	return c.write(ctx, in, policy.Layer{}, room.Say("policy.reset"))
}

func presetPolicy(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	if !c.has("name") {
		reply.Text.Say("policy.presets")
		for _, p := range policy.Presets() {
			reply.Text.Line().Tell(room.Say("policy.preset", "prefix", c.Prefix, "name", p.Name).Holding(p.About()))
		}
		return reply, nil
	}
	presets := policy.Presets()
	i := slices.IndexFunc(presets, func(p policy.Preset) bool { return p.Name == strings.ToLower(c.text("name")) })
	if i < 0 {
		var names []string
		for _, p := range presets {
			names = append(names, p.Name)
		}
		return reply, fault(room.Sentences(room.Say("unknown.preset", "text", c.text("name"), "names", strings.Join(names, ", ")), suggest(c.text("name"), names, "")))
	}
	return c.write(ctx, in, presets[i].Layer(), room.Say("policy.preset.set", "name", presets[i].Name).Holding(presets[i].About()))
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
		return Reply{}, fault(room.Say("policy.empty", "room", from))
	}
	source, err := c.Judge.Policies.Own(ctx, from, c.Message.Sender)
	if err != nil {
		return Reply{}, err
	}
	return c.edit(ctx, requests.Edit{Room: in, Layer: source.Layer, From: &source}, room.Say("policy.copied", "room", from))
}

func policyHistory(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	const limit = 10
	revisions, err := c.Policies.History(ctx, in, c.Message.Sender, limit)
	if err != nil {
		return reply, err
	}
	if len(revisions) == 0 {
		reply.Text.Say("policy.no_history")
		return reply, nil
	}
	now := c.Clock.Now()
	for i, rev := range revisions {
		if i > 0 {
			reply.Text.Line()
		}
		reply.Text.Tell(room.Say("policy.revision", "age", now.Sub(rev.At), "at", moment(rev.At), "by", rev.By, "for", rev.For).Holding(changes(rev)...))
	}
	return reply, nil
}

// revertPolicy takes the last change of the policy back, whoever made it.
func revertPolicy(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	const farthest = 10
	revisions, err := c.Policies.History(ctx, in, c.Message.Sender, farthest)
	switch {
	case err != nil:
		return reply, err
	case len(revisions) == 0:
		return reply, fault(room.Say("policy.no_history"))
	}
	last, earlier := revisions[0], revisions[1:]
	say := room.Say("policy.reverted", "by", last.By, "for", last.For, "age", c.Clock.Now().Sub(last.At))
	if last.Lost() { // with its content; the next one that can be read is meant
		say = room.Say("policy.restored", "by", last.RedactedBy)
		earlier = earlier[max(0, slices.IndexFunc(earlier, func(rev requests.Revision) bool { return rev.Fault == nil })):]
	}
	switch {
	case len(earlier) == 0 && last.Lost(), len(earlier) > 0 && earlier[0].Fault != nil:
		return reply, fault(room.Say("policy.revert.unreadable"))
	case len(earlier) == 0:
		earlier = []requests.Revision{{}}
	}
	from := earlier[0].Source(in)
	undone := requests.Revision{Before: last.After, After: from.Layer}
	return c.edit(ctx, requests.Edit{Room: in, Layer: from.Layer, From: &from}, say.Holding(changes(undone)...))
}

// changes words the difference between two versions of a policy.
func changes(rev requests.Revision) (parts []room.Phrase) {
	switch {
	case rev.Lost():
		return []room.Phrase{room.Say("policy.revision.redacted", "by", rev.RedactedBy)}
	case rev.Fault != nil:
		return []room.Phrase{room.Say("policy.revision.unreadable")}
	}
	for _, path := range rev.After.Paths() {
		if now := rev.After.Text(path); !rev.Before.Has(path) || rev.Before.Text(path) != now {
			parts = append(parts, room.Say("policy.revision.set", "path", path, "value", now))
		}
	}
	for _, path := range rev.Before.Paths() {
		if !rev.After.Has(path) {
			parts = append(parts, room.Say("policy.revision.unset", "path", path))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, room.Say("policy.revision.none"))
	}
	return parts
}

// testPolicy is a dry run for somebody else. It reads as the bot or as the asker, never as the actor in question.
func testPolicy(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	actor := c.person("actor")
	reply, err := c.judge(ctx, requests.Request{
		Actor: actor, Viewer: c.Message.Sender, Action: room.Invite, Room: in, Targets: c.people("user"),
	})
	var text Text
	text.Say("policy.test", "actor", actor).Add(reply.Text)
	reply.Text = text
	return reply, err
}
