package commands

import "usher/policy"

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Words: []string{"disinvite", "deinvite", "ausladen", "uninv", "withdraw"}, Loose: []string{"cancel", "revoke", "undo", "remove"},
		Samples: []string{"uninvite @ann:example.org", "uninvite @ann:example.org #club:example.org", "uninvite @ann:example.org @bob:example.org --dry-run"}, See: []string{"pending", "prune"},
		Params: []Param{users(), inRoom(), reason(), dryRun(), asBot()},
		Run:    change(policy.ActionWithdraw),
	}
}
