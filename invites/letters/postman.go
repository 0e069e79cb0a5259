package letters

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Outbox is the part of the store for sending.
type Outbox interface {
	// DueLetters returns letters to be sent by now, the most overdue first.
	DueLetters(ctx context.Context, now time.Time, limit int) ([]invites.Letter, error)
	// ClaimLetter begins a try, with a secret of its own for the link. ErrFenced: another one is under way, or none is wanted.
	ClaimLetter(ctx context.Context, l invites.Letter, secret invites.LinkSecret, now, until time.Time) error
	// SettleLetter records the outcome of a try. ErrFenced: it does not count any more.
	SettleLetter(ctx context.Context, r invites.LetterResult) error
	// EndLetters settles the letters whose links have ended, and forgets their addresses.
	EndLetters(ctx context.Context, now time.Time) error
	// UntoldLetters returns refused letters of which nobody told their makers.
	UntoldLetters(ctx context.Context, now time.Time, limit int) ([]invites.Letter, error)
	// LetterTold notes that a maker knows of a refusal, and forgets the address.
	LetterTold(ctx context.Context, letter int64) error
}

// Message is what a letter says, before it has words.
type Message struct {
	ID              string // the same for each try: mail servers know copies by it
	To, Language    string
	Maker           id.UserID
	MakerName, Room string // may be empty
	Link, Stop      string // addresses of pages
	Until           time.Duration
}

// Mailer hands letters to a mail server.
type Mailer interface {
	// Send makes one try. An error with the methods of answer tells more.
	Send(ctx context.Context, m Message) error
}

// answer is the error of a Mailer.
type answer interface {
	error
	Final() bool    // never, for this letter
	OfLetter() bool // about this letter; else no letter passes now
	Unsure() bool   // the letter may have gone out
	Words() string  // the mail server's; may hold addresses
}

// Counters counts tries.
type Counters interface {
	// Letter counts a try, by its outcome: sent, refused, later, trouble.
	Letter(outcome string)
}

// Postman sends letters. One process has one. All fields are required.
type Postman struct {
	*Letters
	Outbox   Outbox
	Mailer   Mailer
	Counters Counters
	// Tell tells a maker that a letter was refused.
	Tell    func(ctx context.Context, l invites.Letter) error
	Address string        // of the pages
	Retry   time.Duration // the first pause after a failed try
	GiveUp  time.Duration // how long a letter is tried

	until time.Time // letters wait, since the mail server has trouble
}

// Bounds of sending.
const (
	lease      = 3 * time.Minute // of one try: longer than the longest one
	perRound   = 20
	maxBackoff = 6 // doublings of the pause
)

// Round sends the letters that are due, one after the other, tells of refused ones, and forgets the addresses of those that are over. more
// reports whether others are due.
func (p *Postman) Round(ctx context.Context) (more bool, err error) {
	now := p.Clock.Now()
	if err := p.Outbox.EndLetters(ctx, now); err != nil {
		return false, err
	}
	if !now.Before(p.until) {
		due, err := p.Outbox.DueLetters(ctx, now, perRound)
		if err != nil {
			return false, err
		}
		more = len(due) == perRound
		for _, l := range due {
			held, failed := p.deliver(ctx, l)
			err = errors.Join(err, failed) // the others have their turn
			if held || ctx.Err() != nil {
				more = false
				break
			}
		}
		if err != nil {
			return false, err
		}
	}
	return more, p.tell(ctx)
}

// tell tells makers of refused letters.
func (p *Postman) tell(ctx context.Context) error {
	untold, err := p.Outbox.UntoldLetters(ctx, p.Clock.Now(), perRound)
	if err != nil {
		return err
	}
	for _, l := range untold {
		told := p.Tell(ctx, l)
		if told == nil {
			told = p.Outbox.LetterTold(ctx, l.ID)
		}
		err = errors.Join(err, told) // it is told in another round
	}
	return err
}

// deliver makes one try to send a letter, and settles it. held reports trouble with the mail server, for which all letters wait.
func (p *Postman) deliver(ctx context.Context, l invites.Letter) (held bool, err error) {
	if l.State != invites.LetterQueued { // its link has ended; EndLetters settles it
		return false, nil
	}
	address, secret := p.Links.Fresh()
	m, why, err := p.message(ctx, l, address)
	if err != nil {
		return false, err
	}
	now := p.Clock.Now()
	if err := p.Outbox.ClaimLetter(ctx, l, secret, now, now.Add(lease)); err != nil {
		return false, unlessFenced(err)
	}
	result := invites.LetterResult{ID: l.ID, Attempt: l.Attempt + 1, State: invites.LetterSent}
	if why.Code != "" {
		result.State, result.Code, result.Detail, result.Drop = invites.LetterRefused, why.Code, why.Phrase, secret.Page
	} else if err := p.Mailer.Send(ctx, m); err != nil {
		if ctx.Err() != nil {
			return true, ctx.Err() // the lease ends, and the letter is tried again
		}
		held = p.failed(&result, l, err)
		if said := (answer)(nil); errors.As(err, &said) && !said.Unsure() {
			result.Drop = secret.Page
		}
	}
	ctx = context.WithoutCancel(ctx) // the mail server has it, also where the process is to stop
	result.At = p.Clock.Now()
	p.Counters.Letter(outcome(result))
	if !held {
		p.until = time.Time{}
	}
	return held, unlessFenced(p.Outbox.SettleLetter(ctx, result))
}

// message makes the message of a letter, or says why it must not go out any more: what was decided for the command is decided again.
func (p *Postman) message(ctx context.Context, l invites.Letter, address string) (m Message, why invites.Refusal, err error) {
	blocked, err := p.Store.LettersBlocked(ctx, l.Hash)
	if err != nil {
		return m, why, err
	}
	if blocked {
		return m, refusal(invites.CodeLetterBlocked, room.Say("letter.blocked")), nil
	}
	roomName, makerName, err := p.Links.Named(ctx, l.Link)
	if errors.As(err, &why) {
		return m, why, nil
	} else if err != nil {
		return m, why, err
	}
	return Message{
		ID: p.keyed("message", l.Request+"\x00"+l.Hash+"\x00"+l.QueuedAt.String()), To: l.Address, Language: l.Language, Maker: l.Maker, MakerName: harmless(makerName), Room: harmless(roomName),
		Link: address, Stop: p.Address + "/u/" + p.token(l.Hash), Until: l.ExpiresAt.Sub(p.Clock.Now()),
	}, why, nil
}

// failed says how to go on after a failed try. held reports trouble with the mail server, for which all letters wait.
func (p *Postman) failed(r *invites.LetterResult, l invites.Letter, err error) (held bool) {
	now := p.Clock.Now()
	r.State, r.Code, r.Detail = invites.LetterQueued, invites.CodeLetterTrouble, room.Say("letter.trouble")
	said, words, final := (answer)(nil), "", false
	if errors.As(err, &said) {
		held, words, final = !said.OfLetter(), withoutAddresses(said.Words()), said.Final()
	}
	if !held && words != "" {
		r.Code, r.Detail = invites.CodeLetterLater, room.Say("letter.later", "words", words)
	}
	r.DueAt = now.Add(p.Retry)
	if !held {
		r.DueAt = now.Add(p.Retry << min(l.Attempt, maxBackoff))
	}
	switch {
	case final:
		r.State, r.Code, r.Detail = invites.LetterRefused, invites.CodeLetterServer, room.Say("letter.server", "words", words)
	case now.Sub(l.QueuedAt) > p.GiveUp || r.DueAt.After(l.ExpiresAt):
		r.State, r.Code, r.Detail = invites.LetterRefused, invites.CodeLetterGivenUp, room.Say("letter.given_up", "words", words)
	}
	if held {
		p.until = now.Add(p.Retry)
	}
	return held
}

func unlessFenced(err error) error {
	if errors.Is(err, invites.ErrFenced) {
		return nil
	}
	return err
}

// outcome is the outcome of a try for the counters.
func outcome(r invites.LetterResult) string {
	switch {
	case r.State != invites.LetterQueued:
		return string(r.State)
	case r.Code == invites.CodeLetterLater:
		return "later"
	}
	return "trouble"
}

// anAddress finds addresses in the words of a mail server.
var anAddress = regexp.MustCompile(`<?[^\s<>]+@[^\s<>]+>?`)

func withoutAddresses(text string) string { return anAddress.ReplaceAllString(text, "<…>") }

// luring finds what mail programs show as a link, or as another sender.
var luring = regexp.MustCompile(`(?i)://|www\.|@|[\pL\pN]\.\pL{2,}`)

// maxName bounds a name in a letter, in characters.
const maxName = 80

// harmless is a name as letters may show it: its owner chose it, and it goes to strangers in the operator's name. A name with a link in it is left
// out.
func harmless(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	if luring.MatchString(name) {
		return ""
	}
	if long := []rune(name); len(long) > maxName {
		name = string(long[:maxName]) + "…"
	}
	return name
}
