package dashboard

import (
	"net/http"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// maxBranch is how many people of a branch the page about a person shows.
const maxBranch = 60

// personPage is about one person in a room.
type personPage struct {
	treePage
	Person id.UserID
	Past   []invites.Invitation
	Older  bool   // there are earlier ones
	Theirs string // address of the invitations by the person
	Log    string // address of the audit about the person
}

// person shows the invitations of a person in the room, and the people whom they brought.
func (d *Dashboard) person(v *visit) error {
	ctx, who := v.r.Context(), id.UserID(room.Shorten(v.r.PathValue("user"), maxText))
	p := personPage{Person: who, Theirs: v.At("ledger", "by", string(who)), Log: v.At("audit", "user", string(who))}
	past, err := d.Ledger.Past(ctx, v.User, v.Room, who, maxRows+1)
	if err != nil {
		return err
	}
	p.Past, p.Older = past[:min(len(past), maxRows)], len(past) > maxRows
	t, err := d.Ledger.Tree(ctx, v.User, v.Room, who, maxBranch)
	if err != nil {
		return err
	}
	v.Title, v.Tab = v.Text(who), "person"
	p.treePage = treePage{v, v.draw(t), v.meanings()}
	v.show(http.StatusOK, "person.html", p)
	return nil
}
