package commands

import (
	"context"

	"usher/invites/sessions"
	"usher/room"
)

func dashboardCommand() Command {
	return Command{
		Name: "dashboard", Level: User,
		Words: []string{"webui", "web-ui"}, Loose: []string{"web", "login", "admin"},
		See:   []string{"audit", "cards"},
		Parts: []Part{{Name: "logout", Run: endDashboard}},
		Run:   openDashboard,
	}
}

// openDashboard tells the sender an address that logs them in once. Others must not read it.
func openDashboard(ctx context.Context, c *Call) (reply Reply, err error) {
	private, err := private(ctx, c)
	switch {
	case err != nil:
		return reply, err
	case !c.Sessions.Offered():
		return reply, fault(room.Say("dashboard.off"))
	case !private:
		return reply, fault(room.Say("dashboard.direct", "prefix", c.Prefix))
	}
	address, err := c.Sessions.Offer(ctx, c.Message.Sender)
	if err != nil {
		return reply, err
	}
	reply.Text.Code(address).Line().Say("dashboard.once", "within", sessions.LoginFor, "lasts", sessions.SessionFor, "prefix", c.Prefix)
	return reply, nil
}

// endDashboard logs the sender out of all browsers.
func endDashboard(ctx context.Context, c *Call) (reply Reply, err error) {
	n, err := c.Sessions.End(ctx, c.Message.Sender)
	if err != nil {
		return reply, err
	}
	reply.Text.Say("dashboard.ended", "n", n)
	return reply, nil
}
