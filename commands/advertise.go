package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
	"usher/words"
)

// descriptionType is the type of state events by which a bot describes its commands to clients
// (https://github.com/matrix-org/matrix-spec-proposals/pull/4391).
const descriptionType = "org.matrix.msc4391.command_description"

// advertisedKey is the type of the bot's account data with the rooms in which descriptions may stand.
const advertisedKey = "chat.usher.advertised"

// RoomState is the Advertiser's port to the homeserver. All requests are the bot's.
type RoomState interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
	StateOf(ctx context.Context, r id.RoomID, types []string) ([]invites.StateChange, error)
	JoinedRooms(ctx context.Context) ([]id.RoomID, error)
	AccountData(ctx context.Context, kind string) (json.RawMessage, error)
	SetAccountData(ctx context.Context, kind string, content any) error
}

// Advertiser keeps the descriptions of the commands in the state of rooms where the bot has the power to send them. A nil Advertiser does
// nothing.
type Advertiser struct {
	Homeserver RoomState
	Bot        id.UserID
	Enabled    bool                         // false: Run removes all descriptions on record
	Failed     func(r id.RoomID, err error) // logs an error with a room (empty: none); the Advertiser tries again, unless the homeserver refused
	want       map[room.Key]json.RawMessage // the contents
	record     struct {                     // the account data
		Table string      `json:"table"` // a hash of the contents in all Rooms
		Rooms []id.RoomID `json:"rooms"`
	}

	working sync.Mutex // held while a room is worked on; guards record
	mu      sync.Mutex
	todo    map[id.RoomID]bool
	wake    chan struct{}
}

// NewAdvertiser makes an Advertiser. Run has to be called.
func NewAdvertiser(hs RoomState, bot id.UserID, enabled bool, lang string, failed func(id.RoomID, error)) *Advertiser {
	a := &Advertiser{
		Homeserver: hs, Bot: bot, Enabled: enabled, Failed: failed,
		want: map[room.Key]json.RawMessage{}, todo: map[id.RoomID]bool{}, wake: make(chan struct{}, 1),
	}
	for key, content := range Descriptions(bot, words.For(lang)) {
		raw, _ := json.Marshal(content) // strings and booleans alone
		a.want[room.Key{Type: descriptionType, StateKey: key}] = raw
	}
	return a
}

// Look has the descriptions of a room brought up to date soon: the bot joined it, or its power changed.
func (a *Advertiser) Look(r id.RoomID) {
	if a == nil || !a.Enabled {
		return
	}
	a.add(r)
}

func (a *Advertiser) add(rooms ...id.RoomID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range rooms {
		a.todo[r] = true
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// next takes a waiting room.
func (a *Advertiser) next() (r id.RoomID, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r = range a.todo {
		delete(a.todo, r)
		return r, true
	}
	return "", false
}

// The pauses between tries.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// Run brings all rooms up to date, then each room passed to Look, until ctx ends.
func (a *Advertiser) Run(ctx context.Context) {
	if a == nil {
		return
	}
	a.insist(ctx, "", a.start)
	for ctx.Err() == nil {
		if r, ok := a.next(); ok {
			a.insist(ctx, r, func(ctx context.Context) error { return a.update(ctx, r) })
			continue
		}
		a.insist(ctx, "", a.finish)
		select {
		case <-a.wake:
		case <-ctx.Done():
		}
	}
}

// insist tries something until it succeeds, the homeserver refuses it, or ctx ends.
func (a *Advertiser) insist(ctx context.Context, r id.RoomID, do func(context.Context) error) {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		a.Failed(r, err)
		if invites.Refused(err) {
			return
		}
		wait, _ := invites.Limited(err)
		select {
		case <-time.After(max(wait, pause)):
		case <-ctx.Done():
			return
		}
	}
}

// start reads the record and lists the rooms to work on.
func (a *Advertiser) start(ctx context.Context) error {
	raw, err := a.Homeserver.AccountData(ctx, advertisedKey)
	if err != nil {
		return err
	}
	a.working.Lock()
	defer a.working.Unlock()
	_ = json.Unmarshal(raw, &a.record) // anything else is overwritten
	rooms := a.record.Rooms
	if a.Enabled {
		joined, err := a.Homeserver.JoinedRooms(ctx)
		if err != nil {
			return err
		}
		if a.record.Table == a.table() {
			rooms = slices.DeleteFunc(joined, func(r id.RoomID) bool { return slices.Contains(a.record.Rooms, r) })
		} else {
			rooms = joined
		}
	}
	a.add(rooms...)
	return nil
}

// table is a hash of the contents.
func (a *Advertiser) table() string {
	hash := sha256.New()
	for _, k := range slices.SortedFunc(maps.Keys(a.want), func(x, y room.Key) int { return strings.Compare(x.StateKey, y.StateKey) }) {
		hash.Write(a.want[k])
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// finish puts the hash of the current contents on record: all rooms have them.
func (a *Advertiser) finish(ctx context.Context) error {
	a.working.Lock()
	defer a.working.Unlock()
	if len(a.record.Rooms) == 0 || a.record.Table == a.table() {
		return nil
	}
	a.record.Table = a.table()
	return a.save(ctx)
}

func (a *Advertiser) save(ctx context.Context) error {
	return a.Homeserver.SetAccountData(ctx, advertisedKey, a.record)
}

// update brings the descriptions of one room up to date.
func (a *Advertiser) update(ctx context.Context, r id.RoomID) error {
	a.working.Lock()
	defer a.working.Unlock()
	if !a.Enabled {
		return a.remove(ctx, r)
	}
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(a.Bot)}
	snap, err := a.Homeserver.Snapshot(ctx, r, a.Bot, needs, false)
	if invites.Unseen(err) {
		return a.forget(ctx, r)
	} else if err != nil {
		return err
	}
	switch may := snap.CanSend(a.Bot, descriptionType, true); may.Verdict {
	case room.Unknown:
		return errUnknownPower
	case room.Deny:
		return nil
	}
	if !slices.Contains(a.record.Rooms, r) { // recorded first: after a crash the next start finds the room
		a.record.Rooms, a.record.Table = append(a.record.Rooms, r), "" // finish completes the record
		if err := a.save(ctx); err != nil {
			return err
		}
	}
	return a.set(ctx, r, a.want)
}

var errUnknownPower = errors.New("commands: the bot's power is not known")

// Withdraw removes the descriptions of a room before the bot leaves it.
func (a *Advertiser) Withdraw(ctx context.Context, r id.RoomID) error {
	if a == nil {
		return nil
	}
	a.working.Lock()
	defer a.working.Unlock()
	return a.remove(ctx, r)
}

func (a *Advertiser) remove(ctx context.Context, r id.RoomID) error {
	if !slices.Contains(a.record.Rooms, r) {
		return nil
	}
	if err := a.set(ctx, r, nil); err != nil && !invites.Refused(err) {
		return err
	}
	return a.forget(ctx, r)
}

// forget takes a room out of the record.
func (a *Advertiser) forget(ctx context.Context, r id.RoomID) error {
	i := slices.Index(a.record.Rooms, r)
	if i < 0 {
		return nil
	}
	a.record.Rooms = slices.Delete(a.record.Rooms, i, i+1)
	return a.save(ctx)
}

// set sends the wanted descriptions to a room where they differ, and an empty content for each other description of the bot.
func (a *Advertiser) set(ctx context.Context, r id.RoomID, want map[room.Key]json.RawMessage) error {
	have, err := a.Homeserver.StateOf(ctx, r, []string{descriptionType})
	if err != nil {
		return err
	}
	missing := maps.Clone(want)
	for _, e := range have {
		wanted, is := missing[e.Key]
		delete(missing, e.Key)
		if !is {
			wanted = json.RawMessage("{}")
		}
		if own := e.Event.Sender == a.Bot; !is && !own || own && same(e.Event.Content, wanted) {
			continue
		}
		if _, err := a.Homeserver.SendState(ctx, r, a.Bot, e.Key, wanted); err != nil {
			return err
		}
	}
	for k, content := range missing {
		if _, err := a.Homeserver.SendState(ctx, r, a.Bot, k, content); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether two texts are the same JSON value.
func same(x, y json.RawMessage) bool {
	a, _, read := exactjson.Parse(x)
	b, _, readToo := exactjson.Parse(y)
	return read && readToo && bytes.Equal(exactjson.AppendCanonical(nil, a), exactjson.AppendCanonical(nil, b))
}
