package dashboard

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// maxCards is how many questions a page asks.
const maxCards = 50

// question is an open card.
type question struct {
	*visit
	invites.Card
	Asks   string // who asks what
	Remark string // a hint for the voters
	Where  string // the room that shows the card, unless it is the room of the page
	Knock  bool
	Own    bool // the person's own, so others decide
}

// questions returns the open questions about the room, as far as the person may know of them.
func (v *visit) questions() (list []question, err error) {
	open, _, err := v.d.Cards.Questions(v.r.Context(), v.User, v.Room) // the sweep of cards shows which others stand no more
	for _, c := range open {
		q := question{visit: v, Card: c, Knock: c.Kind == invites.CardKnock, Own: c.Target == v.User || c.Actor == v.User && c.Code != invites.CodeLinkApproval}
		if q.Asks = v.Say("dash.card.approval", "actor", c.Actor, "target", c.Target); q.Knock {
			q.Asks = v.Say("dash.card.knock", "target", c.Target)
		}
		if !c.Remark.Empty() {
			q.Remark = v.Tell(c.Remark)
		}
		if c.ShownIn != v.Room {
			q.Where = v.name(c.ShownIn)
		}
		list = append(list, q)
	}
	return list, err
}

// vote votes on a card, as a command does.
func (d *Dashboard) vote(v *visit) error {
	number, err := strconv.ParseInt(v.r.PostFormValue("number"), 10, 64)
	choice := invites.Choice(v.r.PostFormValue("choice"))
	if err != nil || choice != invites.Accept && choice != invites.Decline && choice != invites.BanThem {
		return errHidden
	}
	ctx, shownIn := v.r.Context(), id.RoomID(v.r.PostFormValue("in"))
	open, err := v.questions()
	if err != nil {
		return err
	}
	if !asked(open, shownIn, number) { // it is decided already, or not for this person
		v.refuse(v.At(""), v.Say("dash.vote.no_card", "number", number))
		return nil
	}
	ballot, err := d.Cards.VoteNumber(ctx, shownIn, number, invites.Vote{
		Voter: v.User, Choice: choice, Event: id.EventID(invites.PageVote + rand.Text()), At: d.Clock.Now(),
		Reason: room.Shorten(strings.TrimSpace(v.r.PostFormValue("reason")), maxText),
	})
	if errors.Is(err, invites.ErrNotFound) {
		return errHidden
	} else if err != nil {
		return err
	}
	if err := d.Desk.Show(ctx, ballot); err != nil {
		return err
	}
	switch {
	case ballot.Code != "":
		v.refuse(v.At(""), v.Tell(ballot.Sentence))
	case ballot.Card.State == invites.CardOpen:
		v.redirect(v.At("", "said", "counted"))
	default:
		v.redirect(v.At("", "said", string(ballot.Card.State)))
	}
	return nil
}

// asked reports whether a card is among some questions.
func asked(open []question, shownIn id.RoomID, number int64) bool {
	for _, q := range open {
		if q.ShownIn == shownIn && q.Number == number {
			return true
		}
	}
	return false
}

// refuse answers that an action was not done.
func (v *visit) refuse(back string, why ...string) {
	v.Title = v.Say("dash.refused")
	v.show(http.StatusConflict, "notice.html", notice{v, why, back})
}

// said words what an action did, by the code in the address of the next page.
func (v *visit) said() string {
	switch v.r.FormValue("said") {
	case "counted":
		return v.Say("dash.said.counted")
	case string(invites.CardAccepted):
		return v.Say("dash.said.accepted")
	case string(invites.CardDeclined):
		return v.Say("dash.said.declined")
	case string(invites.CardBanned):
		return v.Say("dash.said.banned")
	case string(invites.CardCancelled), string(invites.CardExpired):
		return v.Say("dash.said.gone")
	case "revoked":
		return v.Say("dash.said.revoked")
	}
	return ""
}
