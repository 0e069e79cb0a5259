package commands

import "usher/policy"

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Usage: "<user>… [room] [reason…] [--dry-run] [--as-bot]",
		About: "Takes open invitations back. To Matrix that is a kick, even of one's own: it needs the power to kick, save where I sent it for you.",
		Run:   change(policy.ActionWithdraw),
	}
}
