package bot

import (
	"context"
	"time"

	"usher/config"
	"usher/invites"
	"usher/invites/letters"
	"usher/invites/links"
	"usher/mail"
	"usher/room"
	"usher/words"
)

// mailer words letters and hands them to the mail server.
type mailer struct {
	server mail.Server
	from   string
	reply  string
	page   string // address of the pages
}

// Send implements letters.Mailer.
func (m mailer) Send(ctx context.Context, l letters.Message) error {
	from, err := mail.ParseAddress(m.from)
	if err != nil {
		return err
	}
	voice := words.For(l.Language)
	who := string(l.Maker)
	if l.MakerName != "" && l.MakerName != who {
		who = l.MakerName + " (" + who + ")"
	}
	return m.server.Send(ctx, mail.Letter{
		ID: l.ID, From: from, ReplyTo: m.reply, To: l.To, Language: l.Language,
		Subject: voice.Text(room.Say("mail.subject", "maker", l.Maker, "room", l.Room)), Action: voice.Text(room.Say("mail.action")), Link: l.Link,
		Paragraphs: []string{voice.Text(room.Say("mail.invited", "maker", who, "room", l.Room)), voice.Text(room.Say("mail.matrix")), voice.Text(room.Say("mail.once", "within", l.Until))},
		Footer:     []string{voice.Text(room.Say("mail.why", "maker", l.Maker, "page", m.page)), voice.Text(room.Say("mail.ignore"))},
		Stop:       voice.Text(room.Say("mail.stop")), Unsubscribe: l.Stop,
	})
}

// newLetters makes the use cases of letters.
func newLetters(b *bot, m *config.Mail) *letters.Letters {
	return &letters.Letters{
		On: m.Server != "", Store: b.store, Links: links.Personal{Links: b.domain.links}, Judge: b.domain.judge, Clock: clock{}, Key: m.Key.Reveal(), Valid: mail.ValidAddress,
		Limits: letters.Limits{Person: int64(m.Limits.PerPerson), Domain: int64(m.Limits.PerDomain), All: int64(m.Limits.InAll), Again: m.Limits.Again},
		Queued: make(chan struct{}, 1),
	}
}

// newPostman makes the postman.
func newPostman(b *bot, cfg *config.Config) *letters.Postman {
	m := &cfg.Mail
	return &letters.Postman{
		Letters: b.domain.letters, Outbox: b.store, Counters: b.metrics, Address: cfg.Web.PublicURL, Retry: m.Retry, GiveUp: m.GiveUpAfter,
		Mailer: mailer{m.MailServer(), m.From, m.ReplyTo, cfg.Web.PublicURL},
		Tell:   b.chat.Letters.Refused,
	}
}

// postEvery is the pause between two looks for letters whose next try has come.
const postEvery = 2 * time.Second

// post sends letters until ctx ends.
func post(ctx context.Context, b *bot) {
	for postman := b.postman; ctx.Err() == nil; {
		more, err := postman.Round(ctx)
		if err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("Letters not sent")
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-postman.Queued:
		case <-time.After(postEvery):
		}
	}
}

// SettleLetter logs and counts the outcome of a try, without the address.
func (l loggedStore) SettleLetter(ctx context.Context, r invites.LetterResult) error {
	err := l.Store.SettleLetter(ctx, r)
	line := l.log.Info().Err(err).Int64("letter", r.ID).Int("attempt", r.Attempt).Str("status", string(r.State)).Str("code", r.Code)
	if r.State == invites.LetterQueued {
		line = line.Time("again_at", r.DueAt)
	}
	if words := answerIn(r.Detail); words != "" {
		line = line.Str("server_says", words)
	}
	line.Msg("Letter")
	return err
}
