package bot

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"usher/invites"
	"usher/store"
)

// feed brings events from the inbox to the lanes. The intake hands over what is new; what is too much for the memory stays in
// the inbox until the lanes have room, as does what an earlier process left there.
type feed struct {
	store *store.Store
	lanes *lanes
	most  int // events that lanes may have before more stay in the inbox
	log   zerolog.Logger

	mu     sync.Mutex
	last   int64 // everything up to this Seq was brought to the lanes
	behind bool  // the inbox has more
	more   bool  // came while behind
	busy   bool  // somebody is at it
}

// Bounds of the feed.
const (
	mostInLanes = 10000
	feedPage    = 1000
)

// push hands over what has just been committed, in order, or leaves it in the inbox.
func (f *feed) push(ctx context.Context, events []invites.Received) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, waiting := f.lanes.depth(); f.behind || waiting+len(events) > f.most {
		f.behind, f.more = true, true
		return
	}
	f.last = max(f.last, events[len(events)-1].Seq)
	f.lanes.push(ctx, events)
}

// rewind has everything that waits in the inbox brought to the lanes. An event that is in a lane already is found handled when
// its turn comes.
func (f *feed) rewind(ctx context.Context) error {
	f.mu.Lock()
	f.last, f.behind, f.more = 0, true, true
	f.mu.Unlock()
	return f.fill(ctx)
}

// fill brings what the inbox has until the lanes have enough or the inbox has no more.
func (f *feed) fill(ctx context.Context) error {
	f.mu.Lock()
	if !f.behind || f.busy {
		f.mu.Unlock()
		return nil
	}
	f.busy = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.busy = false
		f.mu.Unlock()
	}()
	for {
		f.mu.Lock()
		f.more = false
		last := f.last
		f.mu.Unlock()
		page, err := f.store.WaitingAfter(ctx, last, feedPage)
		if err != nil {
			return err
		}
		if !f.bring(ctx, last, page) {
			return nil
		}
	}
}

// bring pushes a page that was read after last and reports whether to read on.
func (f *feed) bring(ctx context.Context, last int64, page []invites.Received) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != last {
		return true // rewound meanwhile
	}
	if len(page) > 0 {
		f.lanes.push(ctx, page)
		f.last = page[len(page)-1].Seq
	}
	if len(page) < feedPage && !f.more {
		f.behind = false
		return false
	}
	_, waiting := f.lanes.depth()
	return waiting+feedPage <= f.most
}

// hungry is called when the lanes have room.
func (f *feed) hungry(ctx context.Context) {
	if err := f.fill(ctx); err != nil && ctx.Err() == nil {
		f.log.Err(err).Msg("the inbox could not be read; it is tried again")
	}
}

// feedEvery is how often the inbox is looked at if it could not be read before.
const feedEvery = 5 * time.Second

// look fetches waiting events of the inbox, if the lanes have room.
func (f *feed) look(ctx context.Context) {
	if _, waiting := f.lanes.depth(); waiting+feedPage <= f.most {
		f.hungry(ctx)
	}
}
