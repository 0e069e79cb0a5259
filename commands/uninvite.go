package commands

import "usher/policy"

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Words: []string{"disinvite", "deinvite", "ausladen", "uninv", "withdraw"}, Loose: []string{"cancel", "revoke", "remove"},
		See:     []string{"pending", "prune"},
		Params:  []Param{mailed(users()), inRoom(), reason(), dryRun(), asBot()},
		Records: true,
		Run:     byMail(policy.ActionWithdraw),
	}
}
