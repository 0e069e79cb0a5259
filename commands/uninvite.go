package commands

import "usher/policy"

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Params: []Param{users(), inRoom(), reason(), dryRun(), asBot()},
		Run:    change(policy.ActionWithdraw),
	}
}
