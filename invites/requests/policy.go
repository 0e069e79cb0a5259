package requests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// EditorStore is the part of the store with the records of users who had a policy written.
type EditorStore interface {
	// Record adds audit rows.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
	// RecentAudit returns up to limit audit rows of a room, the newest first.
	RecentAudit(ctx context.Context, q invites.AuditQuery, limit int) ([]invites.Audit, error)
}

// EditorHomeserver reads and sets policy events. Errors are as in judge.Homeserver.
type EditorHomeserver interface {
	// Snapshot returns the known state of a room, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
	// History returns the last events of one piece of state, newest first, read as in Snapshot.
	History(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key, limit int) ([]invites.StateEvent, error)
}

// Editor writes policies. All fields are required.
type Editor struct {
	Store      EditorStore
	Homeserver EditorHomeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
}

// Refusal is why a policy could not be written, for people.
type Refusal struct {
	Code   string
	Phrase room.Phrase
}

// Error implements error.
func (r Refusal) Error() string { return "policy: " + string(r.Code) }

// Reason codes of edits.
const (
	CodeEditPower   = "policy.edit.power"       // the actor may not send the policy event
	CodeEditBot     = "policy.edit.performer"   // the actor may, but the bot can't act for them and lacks the power itself
	CodeEditDormant = "policy.edit.dormant"     // fields of somebody weaker would take effect
	CodeEditView    = "policy.edit.no_view"     // the room can't be seen, or the actor is not in it
	CodeEditServer  = "policy.edit.homeserver"  // the homeserver refused it
	CodeEditLarge   = "policy.edit.too_large"   // more than an event holds
	ActionPolicy    = room.ActionType("policy") // in the audit
	maxContent      = 60_000                    // bytes: an event holds 65,536 in all
	codeEdited      = "policy.edited"           // of an audit row
)

// Edit is a change of a room's own policy.
type Edit struct {
	Command  id.EventID
	Room     id.RoomID
	Actor    id.UserID
	Layer    policy.Layer   // the whole new policy
	Field    string         // the actor names this field; empty: none
	From     *policy.Source // the layer is a copy of this policy of another room; nil: it is not
	TakeOver bool           // the actor also means fields without effect so far, since their author lacks the power
}

// Write sets a room's own policy for an actor with the power level to send it: as the actor where Usher may, else as the
// bot, if it has the power too. The actor becomes the author of all fields, so fields which would take effect now have to be meant: see
// Edit.TakeOver. The error is a Refusal where the policy must not be written.
func (s *Editor) Write(ctx context.Context, e Edit) (by id.UserID, err error) {
	command, r, actor, layer := e.Command, e.Room, e.Actor, e.Layer
	content := layer.ContentFor(actor)
	if len(content) > maxContent {
		return "", Refusal{CodeEditLarge, room.Say("edit.large")}
	}
	by, err = s.writer(ctx, r, actor)
	if err != nil {
		return "", err
	}
	if err := s.meant(ctx, e); err != nil {
		return "", err
	}
	if by != s.Self.Bot {
		content = layer.Content()
	}
	event, err := s.Homeserver.SendState(ctx, r, by, policy.Key(), content)
	if invites.Refused(err) {
		return "", Refusal{CodeEditServer, room.Say("edit.server", "errcode", invites.Errcode(err)).Holding(judge.Meaning(err)...)}
	}
	if err != nil {
		return "", fmt.Errorf("writing the policy: %w", err)
	}
	_, err = s.Store.Record(ctx, nil, []invites.Audit{{
		At: s.Clock.Now(), Kind: invites.AuditEffect, Action: ActionPolicy, Room: r, Actor: actor, Performer: by,
		Verdict: string(invites.StatusDone), Code: codeEdited, Policy: event, Request: string(command),
	}})
	return by, err
}

// meant refuses an edit which would give effect to fields of somebody weaker than the actor, unless the actor says so.
func (s *Editor) meant(ctx context.Context, e Edit) error {
	if e.TakeOver {
		return nil
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, policy.Key(), room.MemberKey(e.Actor), room.MemberKey(s.Self.Bot)}
	snap, err := s.Homeserver.Snapshot(ctx, e.Room, e.Actor, needs, false)
	if err != nil {
		return err
	}
	old, err := s.Judge.Policies.Own(ctx, e.Room, e.Actor)
	if err != nil {
		return err
	}
	sources := []policy.Source{old}
	if e.From != nil {
		sources = append(sources, *e.From)
	}
	for _, source := range sources {
		author := source.Person(s.Self.Bot)
		if author != "" {
			if snap, err = s.Homeserver.Snapshot(ctx, e.Room, e.Actor, append(needs, room.MemberKey(author)), false); err != nil {
				return err
			}
		}
		paths := policy.Rearmed(snap, source, e.Layer, e.Actor, s.Self.Bot)
		paths = slices.DeleteFunc(paths, func(path string) bool { return path == e.Field })
		if len(paths) > 0 {
			return Refusal{CodeEditDormant, room.Say("edit.dormant", "fields", strings.Join(paths, ", "), "author", author)}
		}
	}
	return nil
}

// writer chooses the sender of the policy event, by the current state.
func (s *Editor) writer(ctx context.Context, r id.RoomID, actor id.UserID) (id.UserID, error) {
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(actor), room.MemberKey(s.Self.Bot)}
	snap, err := s.Homeserver.Snapshot(ctx, r, actor, needs, true)
	if errors.Is(err, invites.ErrNoView) {
		return "", Refusal{CodeEditView, room.Say("edit.no_view")}
	}
	if err != nil {
		return "", err
	}
	may := snap.CanSend(actor, policy.EventType, true)
	switch {
	case may.Verdict == room.Unknown:
		return "", fmt.Errorf("reading who may write the policy: %v unknown", may.Evidence.Key)
	case may.Rule == room.RuleStatePower:
		return "", Refusal{CodeEditPower, room.Say("edit.power", "needed", int64(may.Evidence.Needed), "had", int64(may.Evidence.Had))}
	case may.Verdict != room.Allow:
		return "", Refusal{CodeEditView, room.Say("edit.outside")}
	case s.Self.MayAssert(actor):
		return actor, nil
	}
	can := snap.CanSend(s.Self.Bot, policy.EventType, true)
	if can.Verdict == room.Allow {
		return s.Self.Bot, nil
	}
	return "", Refusal{CodeEditBot, room.Say("edit.bot", "needed", int64(can.Evidence.Needed))}
}

// Revision is one version of a room's policy.
type Revision struct {
	By     id.UserID // sender of the event
	For    id.UserID // had the bot write it; empty: nobody, or unknown by now
	At     time.Time
	Event  id.EventID
	Before policy.Layer // empty without a readable one
	After  policy.Layer
	Fault  error // why it could not be read

	RedactedBy id.UserID // who redacted it; empty: nobody
}

var errRedacted = errors.New("redacted")

// Lost reports whether the content of the version is unknown because it was redacted. An author who redacts the current version ends the policy: then
// it is known to say nothing.
func (rev Revision) Lost() bool { return rev.RedactedBy != "" && rev.Fault != nil }

// Source returns the version as a source of fields.
func (rev Revision) Source(r id.RoomID) policy.Source {
	return policy.Source{Room: r, Event: rev.Event, Author: rev.By, For: rev.For, Layer: rev.After}
}

// History returns the last versions of a room's own policy, newest first.
func (s *Editor) History(ctx context.Context, r id.RoomID, viewer id.UserID, limit int) ([]Revision, error) {
	events, err := s.Homeserver.History(ctx, r, viewer, policy.Key(), limit+1)
	if err != nil {
		return nil, err
	}
	var list []Revision
	for i, e := range events {
		if i == limit {
			break
		}
		source := policy.Read(r, &e.Event)
		rev := Revision{By: e.Sender, At: e.SentAt, Event: e.ID, After: source.Layer, RedactedBy: e.RedactedBy}
		if e.Sender == s.Self.Bot {
			rev.For = source.For
		}
		switch {
		case source.Fault != nil:
			rev.Fault = source.Fault
		case i > 0 && e.RedactedBy != "": // it said something while it was current
			rev.Fault = errRedacted
		}
		if i+1 < len(events) {
			rev.Before = policy.Read(r, &events[i+1].Event).Layer
		}
		list = append(list, rev)
	}
	return list, s.askers(ctx, r, list)
}

// maxTraced is how many audit rows are looked through for the actors behind the bot's policy events.
const maxTraced = 1000

// askers fills in the actors behind the versions written by the bot.
func (s *Editor) askers(ctx context.Context, r id.RoomID, list []Revision) error {
	if !slices.ContainsFunc(list, func(rev Revision) bool { return rev.By == s.Self.Bot }) {
		return nil
	}
	audit, err := s.Store.RecentAudit(ctx, invites.AuditQuery{Room: r, User: s.Self.Bot}, maxTraced)
	if err != nil {
		return fmt.Errorf("looking up who had the policy written: %w", err)
	}
	for i := range list {
		wrote := func(a invites.Audit) bool {
			return a.Action == ActionPolicy && a.Policy == list[i].Event && a.Performer == s.Self.Bot
		}
		if n := slices.IndexFunc(audit, wrote); n >= 0 {
			list[i].For = audit[n].Actor
		}
	}
	return nil
}
