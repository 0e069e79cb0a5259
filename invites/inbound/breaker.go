package inbound

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// cardLevel is the power level in the operators' room from which on a vote about a server counts.
const cardLevel = 50

// askOperators opens a card about a blocked server in the operators' room.
func (s *Inbound) askOperators(ctx context.Context, server string, now, until time.Time) error {
	ops := s.InForce().Ops
	if ops == "" {
		return nil
	}
	request := id.EventID(invites.NativePrefix + "server:" + strconv.FormatInt(now.UnixMilli(), 36))
	_, err := s.Store.OpenCard(ctx, invites.Card{
		Kind: invites.CardServer, Room: ops, ShownIn: ops, Command: request, Home: ops, Action: room.Ban, Actor: s.Self.Bot,
		Target: everybody(server), Performer: s.Self.Bot, Votes: 1, Level: cardLevel, CreatedAt: now, ExpiresAt: until, State: invites.CardOpen,
	})
	if err == nil {
		s.Poster.Post(request)
	}
	return err
}

// everybody stands for the users of a server where a card names a user.
func everybody(server string) id.UserID { return id.UserID("@*:" + server) }

// Decided implements cards.Servers: an accepted card lets the server through, and a ban goes on the operators' policy list.
func (s *Inbound) Decided(ctx context.Context, c invites.Card) error {
	server := strings.TrimPrefix(string(c.Target), "@*:")
	switch {
	case c.State == invites.CardAccepted:
		return s.Unblock(ctx, server)
	case c.State != invites.CardBanned || s.InForce().BanList == "":
		return nil
	}
	content, err := json.Marshal(map[string]string{"entity": server, "recommendation": "m.ban", "reason": "invitation spam"})
	if err != nil {
		return err
	}
	defer s.hurry()
	_, err = s.Homeserver.SendState(ctx, s.InForce().BanList, s.Self.Bot, room.Key{Type: "m.policy.rule.server", StateKey: "rule:" + server}, content)
	return invites.UnlessRefused(err)
}
