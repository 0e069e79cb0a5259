package chat

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"usher/invites"
	"usher/room"
)

// slowJoins is a RoomState whose joins wait for an answer.
type slowJoins struct {
	RoomState
	answer chan error
	acts   atomic.Int32
}

func (s *slowJoins) Act(context.Context, invites.Effect) error {
	s.acts.Add(1)
	return <-s.answer
}

// TestSlowJoinFreesItsSlot: a try at an event waits three seconds for the bot's own join; the next try waits for the same request.
func TestSlowJoinFreesItsSlot(t *testing.T) {
	t.Parallel()
	b, _ := newChat(t)
	slow := &slowJoins{answer: make(chan error)}
	b.Members.state = slow
	start := time.Now()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); !errors.Is(err, errMoving) {
		t.Errorf("got %v, want %v", err, errMoving)
	}
	if took := time.Since(start); took > moveTakes+time.Second {
		t.Errorf("waited %s", took)
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 1 {
		t.Errorf("%v after %d requests, want one", err, slow.acts.Load())
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 2 {
		t.Errorf("%v after %d requests: an old answer serves a new invitation", err, slow.acts.Load())
	}
}
