package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func listsCommand() Command {
	list := aRoom("list", room.Say("param.room.list"), room.Say("missing.list"))
	return Command{
		Name: "lists", Level: User,
		Words: []string{"banlist", "banlists", "policylists"}, Loose: []string{"list", "watch"},
		See:    []string{"policy"},
		Before: []Param{inRoom()},
		Parts: []Part{
			{Name: "show", Run: inPolicyRoom(showLists)},
			{Name: "watch", Params: []Param{list, takeOver()}, Run: inPolicyRoom(watchList)},
			{Name: "unwatch", Params: []Param{list, takeOver()}, Run: inPolicyRoom(unwatchList)},
		},
		Run: inPolicyRoom(showLists),
	}
}

func showLists(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	if err != nil {
		return reply, err
	}
	if p == nil || len(p.Document.Whom.Lists) == 0 {
		reply.Text.Say("lists.none")
		return reply, nil
	}
	from, _ := p.From("whom.lists")
	if from.Room == in {
		from.Room = ""
	}
	reply.Text.Say("lists.head", "from", from.Room)
	for _, line := range c.Judge.Lists.Of(ctx, p, c.Message.Sender) {
		if line.Err != nil {
			reply.Text.Line().Say("lists.unreadable", "room", line.Room)
			continue
		}
		reply.Text.Line().Say("lists.row", "room", line.Room, "n", line.Rules)
		if line.Replaced != "" {
			reply.Text.Say("lists.replaced", "prefix", c.Prefix, "next", line.Replaced, "followed", line.Followed)
		}
	}
	return reply, nil
}

func watchList(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	list, via, err := c.room(ctx, "list")
	if err != nil {
		return Reply{}, err
	}
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	rules, err := c.Judge.Lists.Readable(ctx, list, c.Message.Sender)
	if errors.Is(err, invites.ErrNoView) && c.Level >= Operator {
		enter := func(ctx context.Context) error { return c.Requests.Enter(ctx, list, via) }
		if err = elsewhere(ctx, c, strings.Join(via[:min(1, len(via))], ""), enter); err == nil {
			rules, err = c.Judge.Lists.Readable(ctx, list, c.Message.Sender)
		}
	}
	if invites.Unseen(err) {
		return Reply{}, fault(room.Say("lists.refused"))
	}
	if err != nil {
		return Reply{}, err
	}
	lists, err := watchedLists(ctx, c, in)
	if err != nil {
		return Reply{}, err
	}
	if slices.Contains(lists, string(list)) {
		return Reply{}, fault(room.Say("lists.already"))
	}
	if layer, err = layer.With("whom.lists", strings.Join(append(lists, string(list)), " ")); err != nil {
		return Reply{}, err
	}
	return c.write(ctx, in, layer, room.Say("lists.watched", "n", rules))
}

func unwatchList(ctx context.Context, c *Call, in id.RoomID) (Reply, error) {
	list, _, err := c.room(ctx, "list")
	if err != nil {
		return Reply{}, err
	}
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	lists, err := watchedLists(ctx, c, in)
	if err != nil {
		return Reply{}, err
	}
	if !slices.Contains(lists, string(list)) {
		return Reply{}, fault(room.Say("lists.not_watched"))
	}
	lists = slices.DeleteFunc(lists, func(l string) bool { return l == string(list) })
	if layer, err = layer.With("whom.lists", strings.Join(lists, " ")); err != nil {
		return Reply{}, err
	}
	return c.write(ctx, in, layer, room.Say("lists.unwatched"))
}

// watchedLists are the lists in force, with the lists of spaces: a room which adds lists of its own keeps the lists of the spaces.
func watchedLists(ctx context.Context, c *Call, in id.RoomID) ([]string, error) {
	p, err := c.Judge.Policies.Of(ctx, in, c.Message.Sender)
	if err != nil || p == nil {
		return nil, err
	}
	var lists []string
	for _, r := range p.Document.Whom.Lists {
		lists = append(lists, string(r))
	}
	return lists, nil
}
