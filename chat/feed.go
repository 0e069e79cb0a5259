package chat

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"usher/invites"
)

// Backlog is the part of the inbox for the feed.
type Backlog interface {
	// WaitingAfter returns up to limit unhandled events with a Seq above seq, by Seq.
	WaitingAfter(ctx context.Context, seq int64, limit int) ([]invites.Received, error)
	RoomBacklog
}

// Feed brings events from the inbox to the lanes. The intake pushes new events. Events beyond the bound of the memory stay in
// the inbox until the lanes have room, as do the events of an earlier process, and those of a lane that has many already.
type Feed struct {
	inbox Backlog
	lanes *Lanes
	most  int // events in lanes; more stay in the inbox
	log   zerolog.Logger

	mu     sync.Mutex
	last   int64 // every event up to this Seq was brought to the lanes
	behind bool  // the inbox has more
	more   bool  // events came while behind
	over   map[laneKey]*left
}

// Bounds of the feed.
const (
	mostInLanes = 10000
	feedPage    = 1000
	feedEvery   = 5 * time.Second // pause after which the feed tries again to read the inbox
)

// NewFeed makes a feed. Beyond most events in the lanes, it leaves events in the inbox.
func NewFeed(inbox Backlog, lanes *Lanes, most int, log zerolog.Logger) *Feed {
	return &Feed{inbox: inbox, lanes: lanes, most: most, log: log, over: map[laneKey]*left{}}
}

// Deliver hands over newly committed events, in order, or leaves them in the inbox.
func (f *Feed) Deliver(events []invites.Received) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, waiting := f.lanes.Depth(); f.behind || waiting+len(events) > f.most {
		f.behind, f.more = true, true
		return
	}
	f.last = max(f.last, events[len(events)-1].Seq)
	f.push(events)
}

// Recover has the feed bring all waiting events of the inbox to the lanes. An event from a lane comes there once more and is found
// handled.
func (f *Feed) Recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.behind, f.more = 0, true, true
	for key := range f.over {
		delete(f.over, key)
		f.lanes.setShort(key, false)
	}
	signal(f.lanes.refill)
}

// Run brings events to the lanes whenever these have room, until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.lanes.refill:
		case <-tick.C:
			if _, waiting := f.lanes.Depth(); waiting+feedPage > f.most {
				continue
			}
		case <-ctx.Done():
			return
		}
		if err := f.fill(ctx); err != nil && ctx.Err() == nil {
			f.log.Err(err).Msg("Inbox unreadable")
		}
	}
}

// fill brings events until the lanes have enough or the inbox has no more.
func (f *Feed) fill(ctx context.Context) error {
	if err := f.fillLanes(ctx); err != nil {
		return err
	}
	for {
		f.mu.Lock()
		if !f.behind {
			f.mu.Unlock()
			return nil
		}
		f.more = false
		last := f.last
		f.mu.Unlock()
		page, err := f.inbox.WaitingAfter(ctx, last, feedPage)
		if err != nil {
			return err
		}
		if !f.bring(last, page) {
			return nil
		}
	}
}

// bring pushes a page, read after last, and reports whether to read on.
func (f *Feed) bring(last int64, page []invites.Received) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != last {
		return true // Recover was called meanwhile
	}
	if len(page) > 0 {
		f.push(page)
		f.last = page[len(page)-1].Seq
	}
	if len(page) < feedPage && !f.more {
		f.behind = false
		return false
	}
	_, waiting := f.lanes.Depth()
	return waiting+feedPage <= f.most
}
