package bot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/store"
)

// wire is how replicas share what each has in memory. A transaction comes to one of them only; what it changes is told to the others
// before it is answered 200, and the next one is not looked at before that was heard. So all see rooms as if each had got every transaction.
type wire struct {
	store *store.Store
	self  string
	log   zerolog.Logger
	bound time.Duration // how long one message may take to be told

	telling sync.Mutex // held while words are told, so that nobody takes another's words for told before they are

	mu    sync.Mutex
	words []word // to be told
	marks map[string]chan struct{}
	count int
}

// word is its kind and what it is about.
type word []string

// Kinds of words.
const (
	wordMark     = "mark"     // how far a replica has listened
	wordAll      = "all"      // anything may have changed
	wordChanged  = "changed"  // room, type, state key
	wordRoom     = "room"     // room, of which anything may have changed
	wordRedacted = "redacted" // room, event
	wordPending  = "pending"  // room, user: invited
	wordCard     = "card"     // card, votes on it
	wordClosed   = "closed"   // card
	wordSpaces   = "spaces"   // claims were saved
	wordGuards   = "guards"   // a room is watched, or not any more
	wordDirect   = "direct"   // room, user; from older versions nothing: whatever m.direct has
	wordTold     = "told"     // room, whether it was told that something can't be read
	wordDevice   = "device"   // what devices tell each other, room
)

// message is what goes over the wire.
type message struct {
	From  string `json:"from"`
	Words []word `json:"words"`
}

// tellTime is how long telling may take: all who have something to tell wait for each other.
const tellTime = 5 * time.Second

func newWire(s *store.Store, log zerolog.Logger) *wire {
	return &wire{store: s, self: rand.Text(), log: log, bound: tellTime, marks: map[string]chan struct{}{}}
}

// say has a word told with the next flush: its kind, and what it is about.
func (w *wire) say(kind string, about ...string) {
	if !w.store.Shared() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words = append(w.words, append(word{kind}, about...))
}

// tell has a word told now.
func (w *wire) tell(ctx context.Context, kind string, about ...string) {
	w.say(kind, about...)
	w.tellAll(ctx)
}

// tellAll tells now what was said. If that fails, the next flush tells it.
func (w *wire) tellAll(ctx context.Context) {
	if err := w.flush(ctx); err != nil && ctx.Err() == nil {
		w.log.Warn().Err(err).Msg("other replicas could not be told what changed; it is tried again")
	}
}

// flush tells what was said. When it returns nil, all that was said before has been told.
func (w *wire) flush(ctx context.Context) error {
	w.telling.Lock()
	defer w.telling.Unlock()
	for {
		w.mu.Lock()
		text, n := w.fit()
		w.mu.Unlock()
		if n == 0 {
			return nil
		}
		if err := w.tellOne(ctx, text); err != nil {
			return err
		}
		w.mu.Lock()
		w.words = w.words[n:]
		w.mu.Unlock()
	}
}

// tellOne tells one message, in its time.
func (w *wire) tellOne(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, w.bound)
	defer cancel()
	return w.store.Tell(ctx, text)
}

// fit words a message of the first n words, as many as fit. w.mu is held.
func (w *wire) fit() (text string, n int) {
	for n = min(len(w.words), 50); n > 0; n /= 2 {
		raw, _ := json.Marshal(message{w.self, w.words[:n]})
		if len(raw) <= store.MaxWord {
			return string(raw), n
		}
		if n == 1 { // no name in Matrix is that long
			w.words[0] = word{wordAll}
			n = 2
		}
	}
	return "", 0
}

// caughtUp returns when all that other replicas had told before was heard.
func (w *wire) caughtUp(ctx context.Context) error {
	if !w.store.Shared() {
		return nil
	}
	done := make(chan struct{})
	w.mu.Lock()
	w.count++
	mark := strconv.Itoa(w.count)
	w.marks[mark] = done
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.marks, mark)
		w.mu.Unlock()
	}()
	tick := time.NewTicker(markAgain)
	defer tick.Stop()
	if err := w.mark(ctx, mark); err != nil {
		return err
	}
	for {
		select {
		case <-done:
			return nil
		case <-tick.C: // nobody may have listened
			_ = w.mark(ctx, mark) // or else with the next tick
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// markAgain is when a mark that was not heard is told once more.
const markAgain = 2 * time.Second

// mark tells a mark.
func (w *wire) mark(ctx context.Context, mark string) error {
	raw, err := json.Marshal(message{w.self, []word{{wordMark, mark}}})
	if err == nil {
		err = w.tellOne(ctx, string(raw))
	}
	return err
}

// begun tells once more what nobody has heard from here: words that could not be told, and marks told while this replica did not listen.
func (w *wire) begun(ctx context.Context) {
	w.tellAll(ctx)
	w.mu.Lock()
	marks := slices.Collect(maps.Keys(w.marks))
	w.mu.Unlock()
	for _, mark := range marks {
		if err := w.mark(ctx, mark); err != nil {
			return // it does not listen either
		}
	}
}

// passed notes that a mark was heard.
func (w *wire) passed(mark string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if done := w.marks[mark]; done != nil {
		close(done)
		delete(w.marks, mark)
	}
}

// listenToOthers hears what other replicas tell, until ctx ends.
func (b *bot) listenToOthers(ctx context.Context) {
	if !b.store.Shared() {
		return
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		err := b.store.Listen(ctx, func() {
			pause = firstPause
			b.heard(ctx, word{wordAll})
			b.wire.begun(ctx)
		}, func(text string) { b.hear(ctx, text) })
		if ctx.Err() != nil {
			return
		}
		b.log.Warn().Err(err).Dur("again_in", pause).Msg("what other replicas say can't be heard, so no transactions are taken")
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// hear takes a message apart.
func (b *bot) hear(ctx context.Context, text string) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		b.log.Warn().Err(err).Msg("a replica says what can't be read")
		m.Words = []word{{wordAll}}
	}
	for _, said := range m.Words {
		switch {
		case m.From != b.wire.self:
			b.heard(ctx, said)
		case len(said) == 2 && said[0] == wordMark:
			b.wire.passed(said[1])
		}
	}
}

// heard does to the memory what a word says. Words that it does not know are a newer version's.
func (b *bot) heard(ctx context.Context, said word) {
	said = append(said, "", "", "", "")
	r := id.RoomID(said[1])
	var err error
	switch said[0] {
	case wordChanged:
		b.changed(r, room.Key{Type: said[2], StateKey: said[3]})
	case wordRoom:
		b.invalidate(r)
	case wordRedacted:
		b.state.Forget(r, id.EventID(said[2]))
	case wordPending:
		b.pending.Heard(r, id.UserID(said[2]))
	case wordCard:
		b.cards.Heard(id.EventID(said[1]), id.EventID(said[2]))
	case wordClosed:
		b.cards.Close(id.EventID(said[1]))
	case wordSpaces:
		err = b.recallSpaces(ctx)
	case wordGuards:
		err = b.guard.Load(ctx)
	case wordTold:
		b.sealed.tell(r, said[2] == "true")
	case wordDevice:
		if b.sealed.device != nil {
			b.sealed.device.Heard(said[1], id.RoomID(said[2]))
		}
	case wordDirect:
		if r == "" {
			b.direct.reload(ctx, b.log)
		} else {
			b.direct.heard(id.UserID(said[2]), r)
		}
	case wordAll:
		err = b.forgetAll(ctx)
	}
	if err != nil && ctx.Err() == nil {
		b.log.Warn().Err(err).Str("about", said[0]).Msg("what another replica tells of could not be read")
	}
}

// forgetAll is for when words may have been missed: what is in memory is read anew.
func (b *bot) forgetAll(ctx context.Context) error {
	b.state.InvalidateAll()
	b.expiriesChanged.Store(true)
	if b.sealed.device != nil {
		b.sealed.device.InvalidateAll()
	}
	b.direct.reload(ctx, b.log) // beside: no transaction waits for the homeserver
	return errors.Join(b.recallSpaces(ctx), b.loadPending(ctx), b.loadCards(ctx), b.guard.Load(ctx))
}
