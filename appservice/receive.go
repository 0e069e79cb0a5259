package appservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// ServeHTTP implements http.Handler. Only the homeserver gets past the gate; the health of the process is for anybody.
func (n *Intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == pathLive || r.URL.Path == pathReady || n.gate.open(w, r) {
		n.routes.ServeHTTP(w, r)
	}
}

// transaction takes one transaction in and answers it.
func (n *Intake) transaction(w http.ResponseWriter, r *http.Request) {
	txn := r.PathValue("txn")
	start := n.o.Now()
	t := n.buffers.Get().(*work)
	t.reset(start)
	t.txn = txn
	status, code := n.take(w, r, t, txn)
	if status == http.StatusOK {
		reply(w, status, emptyJSON)
	} else {
		refuse(w, status, code)
	}
	n.o.Counters.Transaction(status, t.events, len(t.body), n.o.Now().Sub(start))
	if cap(t.body) <= maxPooled {
		n.buffers.Put(t)
	}
}

func (n *Intake) take(w http.ResponseWriter, r *http.Request, t *work, txn string) (status int, errcode string) {
	if n.draining.Load() {
		return http.StatusServiceUnavailable, "M_UNKNOWN"
	}
	if r.ContentLength > n.o.Limits.Body {
		return http.StatusRequestEntityTooLarge, "M_TOO_LARGE"
	}
	// A connection without deadlines, as in tests, is fine.
	_ = http.NewResponseController(w).SetReadDeadline(t.now.Add(n.o.Limits.Read))
	err := t.read(r.Body, r.ContentLength, n.o.Limits.Body)
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, "M_TOO_LARGE"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "M_UNKNOWN"
	case err != nil:
		return http.StatusBadRequest, "M_UNKNOWN"
	}
	// What is no JSON is sent again for ever; but nothing of it can be kept, and a 200 would lose it in silence.
	if err := n.sort(t, txn); err != nil {
		n.o.Log.Error().Err(err).Str("transaction_id", room.Shorten(txn, 64)).Int("bytes", len(t.body)).Msg("Transaction refused")
		return http.StatusBadRequest, "M_NOT_JSON"
	}
	if t.quiet() {
		n.o.Hearing.Heard(t.now)
		return http.StatusOK, ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), n.o.Limits.Commit)
	defer cancel()
	if err = n.receive(ctx, t); err == nil {
		n.handOn(ctx, t)
	}
	n.noteCommit(t, err)
	if err != nil {
		n.o.Log.Error().Err(err).Str("transaction_id", room.Shorten(txn, 64)).Msg("Transaction not committed")
		return http.StatusServiceUnavailable, "M_UNKNOWN"
	}
	return http.StatusOK, ""
}

// arrival is the part of a transaction for the inbox.
type arrival struct {
	txn        string
	received   []invites.Received
	members    []invites.MemberEvent
	redactions []redaction
	err        error
	done       chan struct{} // closed when err is final
}

// receive makes durable what a transaction brought, and delivers the new events in one order. Arrivals that come during a commit share the next
// commit: the first one to get the turn commits for all.
func (n *Intake) receive(ctx context.Context, t *work) error {
	if len(t.received)+len(t.members)+len(t.redactions) == 0 {
		return nil
	}
	a := &arrival{txn: t.txn, received: t.received, members: t.members, redactions: t.redactions, done: make(chan struct{})}
	n.mu.Lock()
	n.waiting = append(n.waiting, a)
	n.mu.Unlock()
	select {
	case n.turn <- struct{}{}:
	case <-a.done: // another one has committed it
		return a.err
	case <-ctx.Done():
		return ctx.Err() // it may be committed yet; then the homeserver sends in vain what it sends again
	}
	defer func() { <-n.turn }()
	n.mu.Lock()
	batch := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	if fresh, err := n.keep(ctx, batch); err == nil {
		// Committed events are delivered even if a redaction failed: they are not new when they come again.
		if len(fresh) > 0 {
			n.o.Sink.Deliver(fresh)
		}
		if n.doubt.CompareAndSwap(true, false) {
			n.o.Sink.Recover()
		}
	}
	for _, of := range batch {
		close(of.done)
	}
	<-a.done
	return a.err
}

// handOn hands on what needs no commit with the events, once these are committed.
func (n *Intake) handOn(ctx context.Context, t *work) {
	if len(t.broken) > 0 {
		if err := n.o.Inbox.Quarantine(ctx, t.broken); err != nil {
			n.o.Log.Error().Err(err).Int("events", len(t.broken)).Msg("Undecodable events not kept")
		}
	}
	for _, l := range t.left {
		n.o.Sink.Left(l.room, l.banned)
	}
}

// keep commits arrivals and returns the new events. After an error no arrival is committed.
func (n *Intake) keep(ctx context.Context, batch []*arrival) (fresh []invites.Received, err error) {
	var kept []invites.Received
	var members []invites.MemberEvent
	from := map[id.EventID]string{}
	for _, a := range batch {
		kept, members = append(kept, a.received...), append(members, a.members...)
		for _, e := range a.received {
			from[e.Event] = a.txn
		}
	}
	if len(kept)+len(members) > 0 {
		if fresh, err = n.o.Inbox.Receive(ctx, kept, members...); err != nil {
			n.doubt.Store(true)
			for _, a := range batch {
				a.err = fmt.Errorf("inbox: %w", err)
			}
			return nil, err
		}
		n.settled(members)
	}
	for _, a := range batch {
		for _, r := range a.redactions {
			redacted, err := n.o.Inbox.Redact(ctx, r.event, r.sender)
			if err != nil {
				a.err = fmt.Errorf("redaction: %w", err)
			}
			for i := range fresh {
				if redacted && fresh[i].Event == r.event {
					fresh[i].Redacted = true
				}
			}
		}
	}
	for _, e := range fresh {
		level := zerolog.InfoLevel
		if e.Type == room.TypeEncrypted {
			level = zerolog.DebugLevel // most of it is chat
		}
		n.o.Log.WithLevel(level).Str("transaction_id", room.Shorten(from[e.Event], 64)).Stringer("event", e.Event).Stringer("room", e.Room).
			Stringer("sender", e.Sender).Str("type", room.Shorten(e.Type, 64)).Msg("Event kept")
	}
	return fresh, nil
}
