package letters

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the letters. A missing letter is ErrNotFound.
type Store interface {
	// CreateLetter adds a letter with its link. One of the same request to the same address stays as it is.
	CreateLetter(ctx context.Context, l invites.Letter, k invites.Link) (invites.Letter, error)
	// LetterOf returns the last letter from a room to an address, as it is now.
	LetterOf(ctx context.Context, r id.RoomID, hash string, now time.Time) (invites.Letter, error)
	// LettersIn returns the letters of a room that are on their way, were sent, or were refused since a time, the newest first; with a maker,
	// only theirs.
	LettersIn(ctx context.Context, r id.RoomID, maker id.UserID, now, refused time.Time, limit int) ([]invites.Letter, error)
	// CountLetters counts letters against limits.
	CountLetters(ctx context.Context, q invites.LetterCount) (invites.LetterCounts, error)
	// SendLetterAgain queues a letter that was sent, and has its link work until a time.
	SendLetterAgain(ctx context.Context, l invites.Letter, now, until time.Time) error
	// RevokeLetter ends a letter with its link.
	RevokeLetter(ctx context.Context, l invites.Letter, by id.UserID, at time.Time) error
	// BlockLetters has an address get no letters any more; with off, it gets letters again.
	BlockLetters(ctx context.Context, hash string, off bool, at time.Time) error
	// LettersBlocked reports whether an address gets no letters.
	LettersBlocked(ctx context.Context, hash string) (bool, error)
}

// Links makes and names the links of letters. Their errors are a Refusal where a link may not be made, or does not work any more.
type Links interface {
	// Personal returns a link for one person, not yet stored and without a secret.
	Personal(ctx context.Context, maker id.UserID, r id.RoomID) (invites.Link, error)
	// Fresh makes a secret: the address of its page, and the secret as the store has it.
	Fresh() (address string, stored invites.LinkSecret)
	// Named returns the names of a link's room and of its maker.
	Named(ctx context.Context, link int64) (roomName, makerName string, err error)
}

// Limits are the operator's limits, within a day.
type Limits struct {
	Person int64         // letters of one maker
	Domain int64         // letters to one domain
	All    int64         // letters
	Again  time.Duration // how long an address gets no second letter of a room
}

// Letters has the use cases. All fields but On are required.
type Letters struct {
	On     bool // the operator has set up mail
	Store  Store
	Links  Links
	Judge  *judge.Judge
	Clock  invites.Clock
	Key    string // of the hashes
	Limits Limits
	Valid  func(address string) bool // whether letters can go there
	Queued chan struct{}             // says that letters are queued, for one waiting reader

	mu sync.Mutex // counting and adding are one step
}

// Bounds of letters.
const (
	limitDay   = 24 * time.Hour
	maxAddress = 3 // letters to one address within a day, from all rooms
	maxOpen    = 200
)

// Wish is some people's invitation to a room by e-mail.
type Wish struct {
	Request     id.EventID // the command
	CommandRoom id.RoomID
	Maker       id.UserID
	Room        id.RoomID
	Addresses   []string // valid ones
	Language    string
	DryRun      bool // decide, and do nothing
}

// Result is the outcome for one address.
type Result struct {
	Address string
	Letter  invites.Letter // with an ID: queued
	Refusal invites.Refusal
}

func refusal(code string, p room.Phrase) invites.Refusal {
	return invites.Refusal{Code: code, Phrase: p}
}

// Ask queues a letter to each address, as far as the maker may invite people by links and no limit is reached. Asked again for the same
// request, it queues nothing twice.
func (s *Letters) Ask(ctx context.Context, w Wish) ([]Result, error) {
	return s.each(ctx, w, func(one *Result) (err error) {
		if one.Letter, err = s.earlier(ctx, w, one.Address); err != nil || one.Letter.ID != 0 {
			return err
		}
		link, err := s.Links.Personal(ctx, w.Maker, w.Room)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.within(ctx, w, one.Address, true); err != nil || w.DryRun {
			return err
		}
		one.Letter, err = s.Store.CreateLetter(ctx, invites.Letter{
			Request: string(w.Request), CommandRoom: w.CommandRoom, Room: w.Room, Maker: w.Maker, Server: policy.ServerName(w.Maker), Address: one.Address,
			Hash: s.hashOf(one.Address), Domain: s.domainOf(one.Address), Language: w.Language, CreatedAt: s.Clock.Now(),
		}, link)
		return err
	})
}

// Again sends letters of the maker once more, with new secrets of the same links.
func (s *Letters) Again(ctx context.Context, w Wish) ([]Result, error) {
	return s.each(ctx, w, func(one *Result) error {
		fresh, err := s.Links.Personal(ctx, w.Maker, w.Room)
		if quota := (invites.Refusal{}); err != nil && !(errors.As(err, &quota) && strings.HasPrefix(quota.Code, "policy.quota.")) {
			return err // the quota counts the letter already
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		l, err := s.Store.LetterOf(ctx, w.Room, s.hashOf(one.Address), s.Clock.Now())
		if errors.Is(err, invites.ErrNotFound) || err == nil && (l.Maker != w.Maker || l.State != invites.LetterSent && l.State != invites.LetterQueued) {
			return refusal(invites.CodeLetterNone, room.Say("letter.none"))
		} else if err != nil {
			return err
		}
		if l.State == invites.LetterQueued {
			one.Letter = l // it goes out by itself
			return nil
		}
		if err := s.within(ctx, w, one.Address, false); err != nil || w.DryRun {
			return err
		}
		until := l.ExpiresAt
		if life := fresh.ExpiresAt; life.After(until) {
			until = life
		}
		if err := s.Store.SendLetterAgain(ctx, l, s.Clock.Now(), until); err != nil {
			return err
		}
		one.Letter = l
		one.Letter.State, one.Letter.ExpiresAt = invites.LetterQueued, until
		return nil
	})
}

// each does something for each address. A Refusal concerns its address alone.
func (s *Letters) each(ctx context.Context, w Wish, do func(*Result) error) ([]Result, error) {
	results := make([]Result, len(w.Addresses))
	for i, address := range w.Addresses {
		one := &results[i]
		one.Address = address
		var err error
		switch {
		case !s.On:
			err = refusal(invites.CodeLetterOff, room.Say("letter.off"))
		case !s.Valid(address):
			err = refusal(invites.CodeLetterInvalid, room.Say("letter.invalid"))
		default:
			err = do(one)
		}
		if errors.As(err, &one.Refusal) {
			one.Letter = invites.Letter{}
		} else if err != nil {
			return nil, err
		}
	}
	if s.On && !w.DryRun {
		select {
		case s.Queued <- struct{}{}:
		default: // it is said already
		}
	}
	return results, nil
}

// earlier returns the letter of the same request, which was run before a crash; without an ID there is none.
func (s *Letters) earlier(ctx context.Context, w Wish, address string) (invites.Letter, error) {
	l, err := s.Store.LetterOf(ctx, w.Room, s.hashOf(address), s.Clock.Now())
	if err != nil || w.Request == "" || l.Request != string(w.Request) {
		return invites.Letter{}, invites.UnlessNone(err)
	}
	return l, nil
}

// within refuses a letter that the recipient does not want, or that a limit forbids; a fresh one also while there is another.
func (s *Letters) within(ctx context.Context, w Wish, address string, fresh bool) error {
	now, hash := s.Clock.Now(), s.hashOf(address)
	if blocked, err := s.Store.LettersBlocked(ctx, hash); err != nil || blocked {
		if blocked {
			err = refusal(invites.CodeLetterBlocked, room.Say("letter.blocked"))
		}
		return err
	}
	last, err := s.Store.LetterOf(ctx, w.Room, hash, now)
	if invites.UnlessNone(err) != nil {
		return err
	}
	if err == nil && last.State != invites.LetterRefused {
		age, open := now.Sub(last.QueuedAt), last.State == invites.LetterQueued || last.State == invites.LetterSent
		switch {
		case fresh && open:
			return refusal(invites.CodeLetterOpen, room.Say("letter.open", "maker", last.Maker, "mine", last.Maker == w.Maker, "age", age))
		case age < s.Limits.Again:
			return refusal(invites.CodeLetterAgain, room.Say("letter.again", "age", age, "wait", s.Limits.Again-age))
		}
	}
	n, err := s.Store.CountLetters(ctx, invites.LetterCount{Maker: w.Maker, Hash: hash, Domain: s.domainOf(address), Since: now.Add(-limitDay)})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		n, most int64
		refusal invites.Refusal
	}{
		{n.Maker, s.Limits.Person, refusal(invites.CodeLetterPerson, room.Say("letter.person", "most", s.Limits.Person))},
		{n.Address, maxAddress, refusal(invites.CodeLetterAddress, room.Say("letter.address", "most", maxAddress))},
		{n.Domain, s.Limits.Domain, refusal(invites.CodeLetterDomain, room.Say("letter.domain", "most", s.Limits.Domain))},
		{n.All, s.Limits.All, refusal(invites.CodeLetterAll, room.Say("letter.all", "most", s.Limits.All))},
	} {
		if one.most > 0 && one.n >= one.most {
			return one.refusal
		}
	}
	return nil
}

// find returns the last letter from a room to an address, for its maker and for people with the power to kick. For others there is none.
func (s *Letters) find(ctx context.Context, asker id.UserID, r id.RoomID, address string) (invites.Letter, error) {
	l, err := s.Store.LetterOf(ctx, r, s.hashOf(address), s.Clock.Now())
	if err != nil || l.Maker == asker {
		return l, err
	}
	if err = s.Judge.Reach.MayKick(ctx, r, asker); errors.Is(err, judge.ErrKickPower) || errors.Is(err, judge.ErrNotJoined) {
		err = invites.ErrNotFound
	}
	return l, err
}

// Revoke ends the letters of a room to some addresses, with their links, for their maker and for people with the power to kick. Letters revoked since
// a time were so by the same command, before a crash.
func (s *Letters) Revoke(ctx context.Context, w Wish, since time.Time) ([]Result, error) {
	results := make([]Result, len(w.Addresses))
	for i, address := range w.Addresses {
		one := &results[i]
		one.Address = address
		l, err := s.find(ctx, w.Maker, w.Room, address)
		open := err == nil && (l.State == invites.LetterQueued || l.State == invites.LetterSent)
		if open && !w.DryRun {
			err = s.Store.RevokeLetter(ctx, l, w.Maker, s.Clock.Now())
		}
		switch {
		case invites.UnlessNone(err) != nil:
			return nil, err
		case err == nil && (open || l.State == invites.LetterRevoked && !l.SettledAt.Before(since)):
			one.Letter, one.Letter.State = l, invites.LetterRevoked
		default:
			one.Refusal = refusal(invites.CodeLetterNone, room.Say("letter.none"))
		}
	}
	return results, nil
}

// Open returns the letters of a room that are on their way, wait to be used, or were refused within a day: all of them for an asker with the power
// to kick, else the asker's own.
func (s *Letters) Open(ctx context.Context, asker id.UserID, r id.RoomID) ([]invites.Letter, error) {
	if !s.On {
		return nil, nil
	}
	maker := id.UserID("")
	switch err := s.Judge.Reach.MayKick(ctx, r, asker); {
	case errors.Is(err, judge.ErrKickPower), errors.Is(err, judge.ErrNotJoined):
		maker = asker
	case err != nil:
		return nil, err
	}
	now := s.Clock.Now()
	return s.Store.LettersIn(ctx, r, maker, now, now.Add(-limitDay), maxOpen)
}

// Why returns the last letter of a room to an address, as far as the asker may know of it, and why there can be none now. known is false without
// a letter.
func (s *Letters) Why(ctx context.Context, asker id.UserID, r id.RoomID, address string) (last invites.Letter, known bool, now Result, err error) {
	last, err = s.find(ctx, asker, r, address)
	if invites.UnlessNone(err) != nil {
		return last, false, now, err
	}
	known = err == nil && s.On
	results, err := s.Ask(ctx, Wish{Maker: asker, Room: r, Addresses: []string{address}, DryRun: true})
	if err != nil {
		return last, known, now, err
	}
	return last, known, results[0], nil
}

// Blocked reports whether the address of a token gets no letters. A token of nobody is ErrNotFound.
func (s *Letters) Blocked(ctx context.Context, token string) (bool, error) {
	hash, ok := s.hashIn(token)
	if !ok {
		return false, invites.ErrNotFound
	}
	return s.Store.LettersBlocked(ctx, hash)
}

// Block has the address of a token get no letters any more, from whatever room; with off, it gets letters again. A token of nobody is
// ErrNotFound.
func (s *Letters) Block(ctx context.Context, token string, off bool) error {
	hash, ok := s.hashIn(token)
	if !ok {
		return invites.ErrNotFound
	}
	return s.Store.BlockLetters(ctx, hash, off, s.Clock.Now())
}
