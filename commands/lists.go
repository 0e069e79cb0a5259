package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func listsCommand() Command {
	list := aRoom("list", "the room of the policy list", "Which list?")
	return Command{
		Name: "lists", Level: User,
		About:  "Shows which policy lists keep people out of this room, and changes that.",
		Before: []Param{inRoom()},
		Parts: []Part{
			{Name: "show", About: "Shows the policy lists of the room.", Run: inPolicyRoom(showLists)},
			{Name: "watch", About: "Has a policy list keep people out of the room.", Params: []Param{list}, Run: inPolicyRoom(watchList)},
			{Name: "unwatch", About: "Undoes watch.", Params: []Param{list}, Run: inPolicyRoom(unwatchList)},
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
		reply.Text.Say("This room watches no policy lists.")
		return reply, nil
	}
	from, _ := p.From("whom.lists")
	reply.Text.Say("Nobody is invited here whom one of these bans")
	if from.Room != in {
		reply.Text.Say(", as ").Code(string(from.Room)).Say(" has it")
	}
	reply.Text.Say(":")
	for _, line := range c.Judge.Lists.Of(ctx, p, c.Message.Sender) {
		reply.Text.Line().Code(string(line.Room))
		if line.Err != nil {
			reply.Text.Say(" — I can't read it for you. If I can't read it at all, I invite nobody until I can: invite me there, or unwatch it.")
			continue
		}
		reply.Text.Say(" — " + plural(line.Rules, "rule"))
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
		if err = c.Requests.Enter(ctx, list, via); err == nil {
			rules, err = c.Judge.Lists.Readable(ctx, list, c.Message.Sender)
		}
	}
	if invites.Unseen(err) {
		return Reply{}, faultf("I can't read that list for you: you must be in its room, or anybody may read it, and I must be there, too. Invite me first, or have an operator of mine watch it. (policy.lists.unreadable)")
	}
	if err != nil {
		return Reply{}, err
	}
	lists, err := watchedLists(ctx, c, in)
	if err != nil {
		return Reply{}, err
	}
	if slices.Contains(lists, string(list)) {
		return Reply{}, faultf("This room watches that list already.")
	}
	if layer, err = layer.With("whom.lists", strings.Join(append(lists, string(list)), " ")); err != nil {
		return Reply{}, err
	}
	return c.write(ctx, in, layer, "Whom that list bans is not invited here any more: "+plural(rules, "rule")+" now.")
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
		return Reply{}, faultf("This room does not watch that list.")
	}
	lists = slices.DeleteFunc(lists, func(l string) bool { return l == string(list) })
	if layer, err = layer.With("whom.lists", strings.Join(lists, " ")); err != nil {
		return Reply{}, err
	}
	return c.write(ctx, in, layer, "This room does not watch that list any more.")
}

// watchedLists are the lists in force: what a space sets goes on when a room adds its own.
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
