package commands

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
	"usher/picture"
	"usher/policy"
	"usher/room"
	"usher/words"
)

func linkCommand() Command {
	return Command{
		Name: "link", Level: User,
		Words: []string{"invitelink", "invite-link", "einladungslink"}, Loose: []string{"links", "url", "qr"},
		See: []string{"invite", "policy"},
		Parts: []Part{
			{Name: "create", Params: []Param{
				aNumber("uses", room.Say("param.link.uses")).option(), aSpan("for", room.Say("param.link.for")).option(), linkRooms(),
				flag("approve", room.Say("param.link.approve")), aWord("show", room.Say("param.link.show"), room.Phrase{}).option(),
				aWord("welcome", room.Say("param.link.welcome"), room.Phrase{}).option(), aWord("note", room.Say("param.link.note"), room.Phrase{}).option(), here(),
			}, Run: aboutLinks(createLink)},
			{Name: "list", Params: []Param{inRoom()}, Run: aboutLinks(listLinks)},
			{Name: "show", Params: []Param{linkNumber(), flag("address", room.Say("param.link.address")), here()}, Run: aboutLinks(showLink)},
			{Name: "revoke", Params: []Param{linkNumber()}, Run: aboutLinks(revokeLink)},
			{Name: "qr", Params: []Param{linkNumber(), here()}, Run: aboutLinks(drawLink)},
		},
		Run: aboutLinks(listLinks),
	}
}

// aNumber is one number.
func aNumber(key string, about room.Phrase) Param {
	return param(key, about, classNumber, cmdschema.PrimitiveTypeInteger.Schema())
}

// aSpan is a length of time.
func aSpan(key string, about room.Phrase) Param {
	return param(key, about, classSpan, cmdschema.PrimitiveTypeString.Schema())
}

// linkNumber names a link.
func linkNumber() Param {
	p := aNumber("number", room.Say("param.link.number"))
	p.missing = room.Say("missing.link")
	return p
}

// linkRooms are the rooms that a link opens.
func linkRooms() Param {
	p := aRoom("room", room.Say("param.link.rooms"), room.Phrase{}).option()
	p.Schema, p.many = cmdschema.Array(p.Schema), true
	return p
}

// here shows secrets in a room with others.
func here() Param { return flag("here", room.Say("param.link.here")) }

// linkCall is a command about links.
type linkCall struct {
	*Call
	secrets bool // they may be told in the room of the command
}

// aboutLinks runs a command about links.
func aboutLinks(run func(context.Context, linkCall) (Reply, error)) run {
	return func(ctx context.Context, c *Call) (Reply, error) {
		private, err := private(ctx, c)
		if err != nil {
			return Reply{}, err
		}
		reply, err := run(ctx, linkCall{c, private || c.has("here")})
		return reply, linkFault(err)
	}
}

// number is a single number in an argument, 0 if none was given.
func (c linkCall) number(key string) (int64, error) {
	if !c.has(key) {
		return 0, nil
	}
	from, to, ok := fromTo(c.words[key][0].text)
	if !ok || from != to {
		return 0, c.usage(room.Say("usage.value", "flag", key, "value", c.words[key][0].text))
	}
	return from, nil
}

// span is a length of time in an argument, 0 if none was given.
func (c linkCall) span(ctx context.Context, key string) (time.Duration, error) {
	if !c.has(key) {
		return 0, nil
	}
	text, err := c.value(ctx, c.words[key])
	if err != nil {
		return 0, err
	}
	length, ok := policy.ParseSpan(text)
	if !ok || length <= 0 {
		return 0, c.usage(room.Say("usage.value", "flag", "--"+key, "value", text))
	}
	return length, nil
}

// shows reads what the page of a link shows: names with commas between, "all" or "none".
func (c linkCall) shows() ([]string, error) {
	all := []string{invites.ShowName, invites.ShowTopic, invites.ShowPicture, invites.ShowMembers}
	switch text := strings.ToLower(c.text("show")); text {
	case "":
		return all[:3], nil
	case "all":
		return all, nil
	case "none":
		return nil, nil
	default:
		shows := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
		for _, one := range shows {
			if !slices.Contains(all, one) {
				return nil, c.usage(room.Say("usage.show", "text", one))
			}
		}
		return shows, nil
	}
}

func createLink(ctx context.Context, c linkCall) (Reply, error) {
	wish := links.Wish{Maker: c.Message.Sender, Approve: c.has("approve"), Welcome: c.text("welcome"), Note: c.text("note")}
	var err error
	if wish.Uses, err = c.number("uses"); err != nil {
		return Reply{}, err
	}
	if wish.For, err = c.span(ctx, "for"); err != nil {
		return Reply{}, err
	}
	if wish.Shows, err = c.shows(); err != nil {
		return Reply{}, err
	}
	if wish.Rooms, err = c.linkRooms(ctx); err != nil {
		return Reply{}, err
	}
	l, secret, err := c.Links.Create(ctx, wish)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	reply.Text.Say("link.made", "number", l.ID, "uses", l.MaxUses, "within", l.ExpiresAt.Sub(l.CreatedAt), "rooms", len(l.Rooms))
	if l.Approve {
		reply.Text.Say("link.made.approve")
	}
	c.tellAddress(&reply.Text, l, secret)
	return reply, nil
}

// linkRooms are the rooms named for a link; without one, the room of the command.
func (c linkCall) linkRooms(ctx context.Context) (rooms []id.RoomID, err error) {
	if !c.has("room") {
		in, _, err := c.room(ctx, "room")
		return []id.RoomID{in}, err
	}
	for _, w := range c.words["room"] {
		in, _, err := c.resolve(ctx, w.read(c.asker).place)
		if err == nil {
			err = memberOf(ctx, c.Call, in)
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(rooms, in) {
			rooms = append(rooms, in)
		}
	}
	return rooms, nil
}

// tellAddress tells the address of a link's page, or how to get it where others would read it.
func (c linkCall) tellAddress(t *Text, l invites.Link, secret links.Secret) {
	t.Line()
	if c.secrets {
		t.Code(c.Links.Page(secret)).Line().Say("link.once", "number", l.ID, "prefix", c.Prefix)
		return
	}
	t.Say("link.ask_me", "number", l.ID, "prefix", c.Prefix)
}

// linkFault shows people why there is no link for them.
func linkFault(err error) error {
	var refusal links.Refusal
	switch {
	case errors.As(err, &refusal):
		return fault(room.Say("link.refused", "code", refusal.Code).Holding(refusal.Phrase))
	case errors.Is(err, invites.ErrNotFound):
		return fault(room.Say("link.unknown"))
	}
	return err
}

func listLinks(ctx context.Context, c linkCall) (Reply, error) {
	var in id.RoomID
	if c.has("room") || !direct(c.Call) {
		var err error
		if in, err = c.joinedRoom(ctx); err != nil {
			return Reply{}, err
		}
	}
	list, err := c.Links.List(ctx, c.Message.Sender, in)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	if len(list) == 0 {
		reply.Text.Say("link.none", "prefix", c.Prefix)
		return reply, nil
	}
	reply.Text.Say("link.head", "n", len(list))
	for i, l := range list {
		if reply.Text.Line(); i == maxLines {
			reply.Text.Say("more", "n", len(list)-i)
			break
		}
		if err := c.tellLink(ctx, &reply.Text, l); err != nil {
			return Reply{}, err
		}
	}
	return reply, nil
}

// tellLink tells of a link in one line.
func (c linkCall) tellLink(ctx context.Context, t *Text, l invites.Link) error {
	state, err := c.Links.State(ctx, l)
	if err != nil {
		return err
	}
	note := ""
	if l.Maker == c.Message.Sender {
		note = l.Note
	}
	t.Say("link.row", "number", l.ID, "maker", l.Maker, "used", l.Used, "uses", l.MaxUses, "left", l.ExpiresAt.Sub(c.Clock.Now()), "approve", l.Approve, "note", note)
	if state.Code != "" {
		t.Tell(room.Say("link.dead").Holding(state.Reason)).Reason(state.Code)
	}
	return nil
}

// findLink finds the link of the argument.
func (c linkCall) findLink(ctx context.Context) (invites.Link, error) {
	number, err := c.number("number")
	if err != nil {
		return invites.Link{}, err
	}
	l, _, err := c.Links.Find(ctx, c.Message.Sender, number)
	return l, err
}

func showLink(ctx context.Context, c linkCall) (reply Reply, err error) {
	l, err := c.findLink(ctx)
	if err != nil {
		return reply, err
	}
	if c.has("address") && c.secrets {
		l, secret, err := c.Links.NewSecret(ctx, c.Message.Sender, l.ID)
		if err != nil {
			return reply, err
		}
		reply.Text.Say("link.address", "number", l.ID)
		c.tellAddress(&reply.Text, l, secret)
		return reply, nil
	}
	if err := c.tellLink(ctx, &reply.Text, l); err != nil {
		return reply, err
	}
	rooms := l.Rooms
	if l.Maker != c.Message.Sender {
		if _, rooms, err = c.Links.Find(ctx, c.Message.Sender, l.ID); err != nil {
			return reply, err
		}
	}
	for _, r := range rooms {
		reply.Text.Line().Say("link.opens", "room", r)
	}
	uses, err := c.Links.Uses(ctx, c.Message.Sender, l.ID, maxLines)
	if err != nil {
		return reply, err
	}
	for _, u := range uses {
		reply.Text.Line().Say("link.use", "target", u.Target, "age", c.Clock.Now().Sub(u.At))
	}
	if c.has("address") {
		c.tellAddress(&reply.Text, l, "")
	}
	return reply, nil
}

func revokeLink(ctx context.Context, c linkCall) (reply Reply, err error) {
	l, err := c.findLink(ctx)
	if err != nil {
		return reply, err
	}
	whole, err := c.Links.Revoke(ctx, c.Message.Sender, l.ID)
	if err != nil {
		return reply, err
	}
	if whole {
		reply.Text.Say("link.ended", "number", l.ID)
	} else {
		reply.Text.Say("link.ended.here", "number", l.ID)
	}
	return reply, nil
}

func drawLink(ctx context.Context, c linkCall) (reply Reply, err error) {
	l, err := c.findLink(ctx)
	if err != nil {
		return reply, err
	}
	if !c.secrets {
		reply.Text.Say("link.ask_me.qr", "number", l.ID, "prefix", c.Prefix)
		return reply, nil
	}
	l, secret, err := c.Links.NewSecret(ctx, c.Message.Sender, l.ID)
	if err != nil {
		return reply, err
	}
	drawn, err := picture.QR(c.Links.Page(secret))
	if err != nil {
		return reply, err
	}
	return Reply{Image: &Image{drawn, "link.png", words.For(c.Language(ctx, c.Message.Room)).Text(room.Say("link.qr", "number", l.ID))}}, nil
}
