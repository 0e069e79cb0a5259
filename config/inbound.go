package config

import (
	"fmt"
	"time"
)

// Inbound is the operator's policy about invitations to local users. It needs Antispam.
type Inbound struct {
	Enabled    bool          `yaml:"enabled"`
	Room       string        `yaml:"room"`        // the operators' room, which decides about blocked servers; empty: nobody does
	BanList    string        `yaml:"ban_list"`    // policy list for the servers that they ban; empty: none
	Lists      []string      `yaml:"lists"`       // policy lists, by room id
	IPLiterals bool          `yaml:"ip_literals"` // servers named by an IP address may invite
	NoCreate   bool          `yaml:"no_create"`   // invitations that don't show the create event of their room may pass
	Sender     People        `yaml:"sender"`      // of one sender
	PerRoom    People        `yaml:"per_room"`    // to one room
	Server     People        `yaml:"server"`      // by the users of one server
	NewSender  People        `yaml:"new_sender"`  // of one sender never seen before, in a rush
	Rush       People        `yaml:"rush"`        // new senders from which on there is a rush
	Breaker    People        `yaml:"breaker"`     // refused senders of one server from which on it is blocked
	BlockFor   time.Duration `yaml:"block_for"`
}

// People is a number of different people within a time; 0 people are no limit.
type People struct {
	People int           `yaml:"people"`
	Per    time.Duration `yaml:"per"`
}

// defaultInbound are limits that honest people do not meet.
func defaultInbound() Inbound {
	return Inbound{
		Lists: []string{}, Sender: People{5, time.Hour}, PerRoom: People{20, time.Hour}, Server: People{30, 10 * time.Minute},
		NewSender: People{1, time.Hour}, Rush: People{20, time.Minute}, Breaker: People{5, 10 * time.Minute}, BlockFor: 24 * time.Hour,
	}
}

func (k checker) checkInbound(c *Config) {
	in := &c.Inbound
	if !in.Enabled {
		return
	}
	if !c.Antispam.Enabled {
		k.fault("inbound.enabled", wrong{"has no effect without antispam.enabled", "switch both on, or neither"})
	}
	for i, room := range in.Lists {
		k.checkRoom(fmt.Sprintf("inbound.lists[%d]", i), room)
	}
	if in.Room != "" {
		k.checkRoom("inbound.room", in.Room)
	}
	if in.BanList != "" {
		k.checkRoom("inbound.ban_list", in.BanList)
	}
	for path, limit := range map[string]People{"sender": in.Sender, "per_room": in.PerRoom, "server": in.Server, "new_sender": in.NewSender, "rush": in.Rush, "breaker": in.Breaker} {
		k.checkRange("inbound."+path+".people", limit.People, 0, 10_000)
		k.checkLength("inbound."+path+".per", limit.Per, time.Second, 7*24*time.Hour)
	}
	k.checkLength("inbound.block_for", in.BlockFor, time.Minute, 30*24*time.Hour)
}

func (k checker) checkRoom(path, room string) {
	if len(room) < 2 || room[0] != '!' || len(room) > 255 {
		k.fault(path, wrong{quote(room) + " is no room id", "write the id of the room, such as !abc:example.org"})
	}
}
