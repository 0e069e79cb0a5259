package policy

import "usher/room"

// Preset is a policy to begin with.
type Preset struct {
	Name   string
	fields [][2]string
}

// About tells the purpose of the preset in a few words.
func (p Preset) About() room.Phrase { return room.Phrase{Key: "preset." + p.Name} }

// Layer returns the preset as a layer.
func (p Preset) Layer() Layer {
	var l Layer
	for _, f := range p.fields {
		l, _ = l.With(f[0], f[1]) // each is tested
	}
	return l
}

// Presets lists the presets, the most open first.
func Presets() []Preset {
	return []Preset{
		{"open", [][2]string{
			{"delegate", "true"}, {"ask.level", "0"}, {"quota.person.count", "50"}, {"quota.person.per", "1d"},
			{"whom.cooldown.kick", "7d"},
		}},
		{"members", [][2]string{
			{"delegate", "true"}, {"ask.level", "0"}, {"ask.joined_for", "1d"}, {"quota.person.count", "10"}, {"quota.person.per", "1d"},
			{"whom.cooldown.leave", "1h"}, {"whom.cooldown.decline", "1d"}, {"whom.cooldown.kick", "7d"},
		}},
		{"moderated", [][2]string{
			{"delegate", "true"}, {"ask.level", "0"}, {"ask.joined_for", "1h"}, {"quota.person.count", "10"}, {"quota.person.per", "1d"},
			{"approval.required", "true"}, {"approval.votes", "1"}, {"approval.level", "50"}, {"approval.expires", "48h"},
			{"whom.cooldown.leave", "1h"}, {"whom.cooldown.decline", "1d"}, {"whom.cooldown.kick", "30d"},
		}},
		{"closed", [][2]string{
			{"delegate", "false"}, {"ask.level", "50"}, {"whom.cooldown.decline", "7d"}, {"whom.cooldown.kick", "30d"},
			{"guard.mode", "watch"}, {"guard.join_rule", "invite"}, {"guard.by_hand", "report"}, {"pending.expire_after", "14d"},
		}},
		{"community", [][2]string{
			{"delegate", "true"}, {"ask.level", "0"}, {"ask.joined_for", "1d"}, {"quota.person.count", "10"}, {"quota.person.per", "1d"},
			{"quota.room.count", "100"}, {"quota.room.per", "1d"}, {"whom.ip_literals", "false"},
			{"whom.cooldown.leave", "1h"}, {"whom.cooldown.decline", "1d"}, {"whom.cooldown.kick", "30d"},
			{"knocks.desk", "true"}, {"knocks.breaker.count", "20"}, {"knocks.breaker.per", "10m"},
			{"pending.expire_after", "14d"}, {"pending.remind_before", "1d"},
		}},
	}
}
