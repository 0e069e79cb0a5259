package moves

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/delivery"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/room"
)

// step does one part of an upgrade. A second call has no further effect. errLater says that it is not done.
type step func(s *Moves, ctx context.Context, u *invites.Upgrade, found judge.Replacement) error

// steps are the parts of an upgrade in their order. The database keeps the number of those that are done, so new ones come last.
var steps = [...]step{(*Moves).links, (*Moves).questions, (*Moves).present, (*Moves).parents, (*Moves).aliases, (*Moves).invitations, (*Moves).others}

// links has invite links to the old room lead to the new one. Each use is judged there.
func (s *Moves) links(ctx context.Context, u *invites.Upgrade, found judge.Replacement) error {
	if !found.Rightful {
		u.Note(room.Say("move.unrightful"))
		return nil
	}
	n, err := s.Store.MoveLinks(ctx, u.Old, u.New)
	if n > 0 {
		u.Note(room.Say("move.links", "n", n))
	}
	return err
}

// maxOpen bounds how many open invitations, and how many that wait, are carried over.
const maxOpen = 1000

// questions ends the open cards about the old room, and its invitations that wait to be sent. What the actor asked for goes into the new room; nobody
// else asked for that.
func (s *Moves) questions(ctx context.Context, u *invites.Upgrade, found judge.Replacement) error {
	if !found.Rightful {
		return nil
	}
	var own []id.UserID
	waiting, err := s.Store.UnsentIn(ctx, u.Old, maxOpen)
	if err != nil {
		return err
	}
	for _, row := range waiting {
		if row.Actor == u.Actor && row.Origin != invites.OriginPlan { // a plan names its rooms, and acts without being asked
			own = append(own, row.Target)
		}
	}
	var closing []invites.Card
	for _, kind := range []invites.CardKind{invites.CardApproval, invites.CardKnock, invites.CardWithdraw} {
		open, err := s.Store.OpenCards(ctx, invites.CardQuery{Kind: kind, Room: u.Old})
		if err != nil {
			return err
		}
		closing = append(closing, open...)
	}
	for _, card := range closing {
		if card.Kind == invites.CardApproval && card.Actor == u.Actor && !card.ByLink() {
			own = append(own, card.Target)
		}
	}
	if len(own) > 0 {
		if err := s.present(ctx, u, found); err != nil {
			return err
		}
		if _, err := s.ask(ctx, u, own...); err != nil {
			return err
		}
	}
	for _, card := range closing {
		if _, err := s.Cards.Cancel(ctx, card, invites.CodeReplaced); err != nil {
			return err
		}
	}
	if err := delivery.End(ctx, s.Delivery, waiting, room.Say("detail.replaced")); err != nil {
		return err
	}
	if n := len(closing) + len(waiting); n > 0 {
		u.Note(room.Say("move.questions", "n", n, "again", len(own)))
	}
	return nil
}

// ask asks for invitations to the new room in the name of the actor, and returns the rows. A limit of the operator ends it without an error.
func (s *Moves) ask(ctx context.Context, u *invites.Upgrade, targets ...id.UserID) ([]invites.Change, error) {
	rows, err := s.Requests.Ask(ctx, requests.Request{
		Origin: invites.OriginMove, Key: u.Key(), CommandRoom: u.New, Actor: u.Actor, Action: room.Invite, Room: u.New, Targets: targets,
	})
	if over := new(requests.LimitError); errors.As(err, &over) {
		u.Note(room.Say("move.limit", "most", over.Most))
		return nil, nil
	}
	return rows, err
}

// present waits for the actor to be in the new room.
func (s *Moves) present(ctx context.Context, u *invites.Upgrade, _ judge.Replacement) error {
	in, err := joined(ctx, s, u.New, u.Actor)
	if err == nil && !in {
		err = errLater
	}
	return err
}

// parents has the new room name the spaces that the old one names.
func (s *Moves) parents(ctx context.Context, u *invites.Upgrade, _ judge.Replacement) error {
	for _, space := range s.Homeserver.Spaces(u.Old) {
		k := linkTo(room.TypeSpaceParent, space)
		then, err := s.look(ctx, u.Old, false, k)
		if err != nil {
			return invites.UnlessUnseen(err)
		}
		if event, _ := then.Event(k); event != nil && !blank(event.Content) {
			if err := s.copy(ctx, u, k, event.Content); err != nil {
				return err
			}
		}
	}
	return nil
}

// copy sets a piece of state in the new room, if that has none of its own, and notes the outcome.
func (s *Moves) copy(ctx context.Context, u *invites.Upgrade, k room.Key, content json.RawMessage) error {
	now, err := s.look(ctx, u.New, true, k)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	if has, _ := now.Event(k); has != nil && !blank(has.Content) {
		return nil
	}
	why, err := s.write(ctx, u, u.Actor, u.New, k, content)
	if err == nil {
		noteOn(u, room.Say("move.state", "type", k.Type, "key", k.StateKey), room.Say("move.state.kept", "type", k.Type, "key", k.StateKey), why)
	}
	return err
}

// blank reports whether content says nothing: then a piece of state counts as gone.
func blank(content json.RawMessage) bool {
	v, _, ok := exactjson.Parse(content)
	return !ok || len(v.Items) == 0
}

// aliases has the aliases at the homeserver that lead to the old room lead to the new one, and then the new room name those that the old one names.
// What there is to do is kept first: after a crash between two requests, an alias leads nowhere, and Dendrite has a room not name an alias
// any more that does not lead there.
func (s *Moves) aliases(ctx context.Context, u *invites.Upgrade, _ judge.Replacement) error {
	if len(u.Rest) == 0 {
		if err := s.findAliases(ctx, u); err != nil || len(u.Rest) == 0 {
			return err
		}
	}
	by, why, err := s.mayName(ctx, u)
	if err != nil {
		return err
	}
	for _, alias := range u.Rest {
		if alias[0] != '#' {
			continue
		}
		told := why
		if why.Empty() {
			if told, err = s.alias(ctx, u, id.RoomAlias(alias), by); err != nil {
				return err
			}
		}
		noteOn(u, room.Say("move.alias", "alias", alias), room.Say("move.alias.kept", "alias", alias), told)
	}
	if named := u.Rest[len(u.Rest)-1]; named[0] == '{' {
		return s.canonical(ctx, u, json.RawMessage(named))
	}
	return nil
}

// findAliases keeps the aliases of the old room, and as the last one the content of the event by which it names its own.
func (s *Moves) findAliases(ctx context.Context, u *invites.Upgrade) error {
	list, err := s.Homeserver.Aliases(ctx, u.Old, "")
	if invites.UnlessRefused(err) != nil {
		return err
	}
	for _, alias := range list {
		if alias != "" && alias[0] == '#' {
			u.Rest = append(u.Rest, string(alias))
		}
	}
	snap, err := s.look(ctx, u.Old, true, room.Key{Type: room.TypeCanonicalAlias})
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	if event, _ := snap.Event(room.Key{Type: room.TypeCanonicalAlias}); event != nil && !blank(event.Content) {
		u.Rest = append(u.Rest, string(event.Content))
	}
	return s.Store.SaveUpgrade(ctx, *u)
}

// mayName chooses the user who moves aliases: the homeserver lets its own users do so with the power to name the old room.
func (s *Moves) mayName(ctx context.Context, u *invites.Upgrade) (by id.UserID, why room.Phrase, err error) {
	if u.Actor.Homeserver() != s.Self.Domain {
		return "", room.Say("move.elsewhere", "user", u.Actor, "domain", s.Self.Domain), nil
	}
	snap, err := s.look(ctx, u.Old, true, powers(s.Self.Bot, u.Actor)...)
	if err != nil {
		why, err = unseen(err)
		return "", why, err
	}
	by, why = s.writer(snap, u.Actor, room.TypeCanonicalAlias)
	return by, why, nil
}

// alias moves one alias.
func (s *Moves) alias(ctx context.Context, u *invites.Upgrade, alias id.RoomAlias, by id.UserID) (why room.Phrase, err error) {
	leads, _, err := s.Homeserver.Resolve(ctx, alias)
	switch {
	case err != nil && !invites.Refused(err):
		return why, err
	case leads == u.New, leads != "" && leads != u.Old: // done, or somebody else's by now
		return why, nil
	case leads == u.Old:
		if err := s.Homeserver.DropAlias(ctx, alias, by); err != nil {
			return refusal(err)
		}
	}
	return refusal(s.Homeserver.SetAlias(ctx, alias, u.New, by))
}

// refusal words a refusal of the homeserver.
func refusal(err error) (room.Phrase, error) {
	if invites.Refused(err) {
		return room.Say("move.refused", "errcode", invites.Errcode(err)).Holding(judge.Meaning(err)...), nil
	}
	return room.Phrase{}, err
}

// canonical has the new room name the aliases that the old one named, which does not name them any more then.
func (s *Moves) canonical(ctx context.Context, u *invites.Upgrade, content json.RawMessage) error {
	k := room.Key{Type: room.TypeCanonicalAlias}
	if err := s.copy(ctx, u, k, content); err != nil {
		return err
	}
	for _, r := range []id.RoomID{u.New, u.Old} {
		snap, err := s.look(ctx, r, true, k)
		if err != nil {
			return invites.UnlessUnseen(err)
		}
		if event, _ := snap.Event(k); event == nil || !same(event.Content, content) {
			return nil
		}
	}
	_, err := s.write(ctx, u, u.Actor, u.Old, k, json.RawMessage("{}"))
	return err
}

// same reports whether two contents say the same.
func same(a, b json.RawMessage) bool {
	x, _, ok := exactjson.Parse(a)
	y, _, also := exactjson.Parse(b)
	return ok && also && string(exactjson.AppendCanonical(nil, x)) == string(exactjson.AppendCanonical(nil, y))
}

// invitations invites the users with an open invitation to the old room to the new one, in the name of the actor. The room has the last word on
// whether an invitation is open: the ledger may not have seen yet that it was withdrawn.
func (s *Moves) invitations(ctx context.Context, u *invites.Upgrade, found judge.Replacement) error {
	if !found.Rightful {
		return nil
	}
	open, _, err := s.Store.Pending(ctx, u.Old, maxOpen)
	if err != nil || len(open) == 0 {
		return err
	}
	invited, err := s.Homeserver.Members(ctx, u.Old, "invite")
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	slices.Sort(invited)
	var targets []id.UserID
	for _, e := range open {
		if _, still := slices.BinarySearch(invited, e.Target); still {
			targets = append(targets, e.Target)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	rows, err := s.ask(ctx, u, targets...)
	if err != nil {
		return err
	}
	refused := 0
	for _, row := range rows {
		if row.Status == invites.StatusRefused {
			refused++
		}
	}
	u.Note(room.Say("move.invitations", "n", len(rows)-refused, "refused", refused))
	return nil
}

// noteOn notes the outcome of one thing: that it is done, or that it is not, and why.
func noteOn(u *invites.Upgrade, done, kept, why room.Phrase) {
	if why.Empty() {
		u.Note(done)
		return
	}
	u.Note(kept.Holding(why))
}
