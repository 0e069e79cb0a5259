package config

import (
	"fmt"
	"time"
)

// Plan is declarative membership: the files that the running Usher keeps rooms to, and what plans may do.
type Plan struct {
	Files    []string      `yaml:"files"`    // relative to the current folder
	Interval time.Duration `yaml:"interval"` // between two comparisons of the files with their rooms
	Room     string        `yaml:"room"`     // where changes, and what keeps a plan from being carried out, are reported; empty: nowhere
	Managers []string      `yaml:"managers"` // users in whose name a plan may act
}

func checkPlan(k checker, p *Plan) {
	k.checkLength("plan.interval", p.Interval, 10*time.Second, 7*24*time.Hour)
	if p.Room != "" {
		k.checkRoom("plan.room", p.Room)
	}
	for i, file := range p.Files {
		if file == "" {
			k.fault(fmt.Sprintf("plan.files[%d]", i), wrong{"is empty", "write the name of a file"})
		}
	}
	for i, user := range p.Managers {
		if local, server, ok := splitUser(user); !ok || local == "" || !isServerName(server) {
			k.fault(fmt.Sprintf("plan.managers[%d]", i), wrong{quote(user) + " is no Matrix ID", "write a whole one, such as @ann:example.org"})
		}
	}
}
