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
	return Command{
		Name: "lists", Level: User,
		Usage: "[room] [show | watch <list> | unwatch <list>]",
		About: "Shows which policy lists keep people out of this room, and changes that.",
		Run:   runLists,
	}
}

func runLists(ctx context.Context, c *Call) (Reply, error) {
	if err := c.only(); err != nil {
		return Reply{}, err
	}
	in, rest, err := c.governed(ctx)
	if err != nil {
		return Reply{}, asFault(err)
	}
	if len(rest) == 0 || (len(rest) == 1 && strings.ToLower(rest[0].text) == "show") {
		reply, err := showLists(ctx, c, in)
		return reply, asFault(err)
	}
	if len(rest) != 2 {
		return Reply{}, c.usage("Which list?")
	}
	list, via, err := c.named(ctx, rest[1])
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	switch strings.ToLower(rest[0].text) {
	case "watch":
		reply, err = watchList(ctx, c, in, list, via)
	case "unwatch":
		reply, err = unwatchList(ctx, c, in, list)
	default:
		return Reply{}, c.puzzled(rest[0].text)
	}
	return reply, asFault(err)
}

func showLists(ctx context.Context, c *Call, in id.RoomID) (reply Reply, err error) {
	p, err := c.Invites.Policy(ctx, in, c.Message.Sender)
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
	for _, line := range c.Invites.Lists(ctx, p, c.Message.Sender) {
		reply.Text.Line().Code(string(line.Room))
		if line.Err != nil {
			reply.Text.Say(" — I can't read it for you. If I can't read it at all, I invite nobody until I can: invite me there, or unwatch it.")
			continue
		}
		reply.Text.Say(" — " + plural(line.Rules, "rule"))
	}
	return reply, nil
}

func watchList(ctx context.Context, c *Call, in, list id.RoomID, via []string) (Reply, error) {
	layer, err := c.own(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	rules, err := c.Invites.ReadableList(ctx, list, c.Message.Sender)
	if errors.Is(err, invites.ErrNoView) && c.Level >= Operator {
		if err = c.Invites.Enter(ctx, list, via); err == nil {
			rules, err = c.Invites.ReadableList(ctx, list, c.Message.Sender)
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

func unwatchList(ctx context.Context, c *Call, in, list id.RoomID) (Reply, error) {
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
	p, err := c.Invites.Policy(ctx, in, c.Message.Sender)
	if err != nil || p == nil {
		return nil, err
	}
	var lists []string
	for _, r := range p.Document.Whom.Lists {
		lists = append(lists, string(r))
	}
	return lists, nil
}
