package commands

import "usher/policy"

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		About:  "Takes open invitations back. To Matrix that is a kick, even of one's own: it needs the power to kick, save where I sent it for you.",
		Params: []Param{users(), inRoom(), reason(), dryRun(), asBot()},
		Run:    change(policy.ActionWithdraw),
	}
}
