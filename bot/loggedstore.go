package bot

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/metrics"
	"usher/room"
	"usher/store"
)

// loggedStore is the store for the intake and the use cases: its frequent calls are timed and counted, and the life of a row is logged. With
// the intake's lines, which pair transactions and events, the ids of event, room and row tell a story from arrival to act. It never logs
// reasons, texts or links.
type loggedStore struct {
	*store.Store
	metrics *metrics.Metrics
	log     zerolog.Logger
}

func (l loggedStore) Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) (fresh []invites.Received, err error) {
	done := l.metrics.Timed("receive")
	defer func() { done(err) }()
	return l.Store.Receive(ctx, events, members...)
}

func (l loggedStore) Received(ctx context.Context, event id.EventID) (ev invites.Received, err error) {
	done := l.metrics.Timed("received")
	defer func() { done(err) }()
	return l.Store.Received(ctx, event)
}

func (l loggedStore) Quarantine(ctx context.Context, bad []invites.Undecodable) (err error) {
	done := l.metrics.Timed("quarantine")
	defer func() { done(err) }()
	if err = l.Store.Quarantine(ctx, bad); err == nil {
		l.metrics.Quarantined(len(bad))
	}
	return err
}

// Record logs decided rows.
func (l loggedStore) Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, spend ...invites.Charge) (stored []invites.Change, err error) {
	done := l.metrics.Timed("record")
	defer func() { done(err) }()
	if stored, err = l.Store.Record(ctx, rows, audit, spend...); err != nil {
		return nil, err
	}
	l.metrics.Decided(audit)
	for _, row := range stored {
		l.about(l.log.Info(), row).Stringer("actor", row.Actor).Stringer("performer", row.Performer).
			Str("status", string(row.Status)).Str("code", row.Code).Msg("Decided")
	}
	return stored, nil
}

// Claim logs attempts.
func (l loggedStore) Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) (claimed []invites.Change, err error) {
	done := l.metrics.Timed("claim")
	defer func() { done(err) }()
	claimed, err = l.Store.Claim(ctx, rows, now, lease)
	for _, row := range claimed {
		l.about(l.log.Debug(), row).Int("attempt", row.Attempt).Msg("Attempt")
	}
	return claimed, err
}

// Settle logs outcomes.
func (l loggedStore) Settle(ctx context.Context, settlements ...invites.Settlement) (err error) {
	done := l.metrics.Timed("settle")
	defer func() { done(err) }()
	if err = l.Store.Settle(ctx, settlements...); err == nil {
		l.metrics.Settled(settlements)
	}
	for _, s := range settlements {
		line := l.log.Info().Err(err).Int64("invitation", s.ID).Int("attempt", s.Attempt).Str("status", string(s.Status)).Str("code", s.Code)
		if s.Status == invites.StatusOpen {
			line = line.Time("again_at", s.DueAt)
		}
		if words := answerIn(s.Detail); words != "" {
			line = line.Str("homeserver_says", words)
		}
		line.Msg("Settled")
	}
	return err
}

// answerIn finds the homeserver's words in the detail of a row.
func answerIn(detail room.Phrase) string {
	if words := detail.Args["words"]; words != "" {
		return words
	}
	for _, part := range detail.Parts {
		if words := answerIn(part); words != "" {
			return words
		}
	}
	return ""
}

// Handled logs ended events.
func (l loggedStore) Handled(ctx context.Context, events ...id.EventID) (err error) {
	done := l.metrics.Timed("handled")
	defer func() { done(err) }()
	err = l.Store.Handled(ctx, events...)
	for _, event := range events {
		l.log.Debug().Err(err).Stringer("event", event).Msg("Handled")
	}
	return err
}

// about adds a row's ids to a line.
func (l loggedStore) about(line *zerolog.Event, row invites.Change) *zerolog.Event {
	return line.Int64("invitation", row.ID).Str("event", row.Request).Stringer("room", row.Room).
		Str("action", string(row.Action)).Stringer("target", row.Target)
}
