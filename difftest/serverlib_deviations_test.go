package difftest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"usher/room"
)

// most is the power of creators without power levels, and one below that of v12's creators.
const most = 1<<53 - 1

func serverlibDeviations() []deviation {
	return slices.Concat(serverlibCreator(), serverlibThirdParty(), serverlibMembership(), serverlibForm(), serverlibLevels())
}

func serverlibCreator() []deviation {
	return []deviation{
		{"v1–v10: the creator is the create event's sender, not content.creator", func(p pair) pair {
			create := p.State.Events[createKey]
			if create == nil || p.Version() > 10 {
				return p
			}
			return p.edit(createKey, func(c content) { c.set("creator", create.Sender) })
		}},
		{"nobody else may send the creator's first join", answers(denied, func(p pair) bool {
			return p.Rule == room.RuleJoinFirst && p.Action.Sender != p.Action.Target
		})},
		{"v1–v11 without power levels: 2⁵³-1 for the creator, and the first power levels are checked like a change", func(p pair) pair {
			create := p.State.Events[createKey]
			if create == nil || p.Version() > 11 || p.State.Events[levelsKey] != nil || p.Action.PrevIsCreate {
				return p
			}
			levels := fmt.Sprintf(`{"users":{%q:%d}}`, create.Sender, most)
			return p.replace(levelsKey, &room.Event{Sender: create.Sender, Content: json.RawMessage(levels)})
		}},
	}
}

func serverlibThirdParty() []deviation {
	token := room.Key{Type: "m.room.third_party_invite", StateKey: "token"}
	isThirdParty := func(p pair) bool {
		return p.Action.Type == room.Invite && content{"": p.Action.Content}.object("")["third_party_invite"] != nil
	}
	return []deviation{
		{"third-party invite: bans are not looked at", func(p pair) pair {
			if !isThirdParty(p) {
				return p
			}
			return p.replace(room.Key{Type: "m.room.member", StateKey: string(p.Action.Target)}, nil)
		}},
		{"third-party invite: the sender is not looked at", func(p pair) pair {
			e := p.State.Events[token]
			if !isThirdParty(p) || e == nil {
				return p
			}
			return p.replace(token, &room.Event{Sender: p.Action.Sender, Content: e.Content})
		}},
		{"third-party invite: public_key is not looked at", func(p pair) pair {
			if !isThirdParty(p) {
				return p
			}
			return p.edit(token, func(c content) { delete(c, "public_key") })
		}},
	}
}

func serverlibMembership() []deviation {
	return []deviation{
		{"a public room can't be joined by who knocks", answers(denied, func(p pair) bool {
			return p.Rule == room.RuleJoinPublic && p.membership(p.Action.Sender) == "knock"
		})},
		{"v8–v9: knock_restricted lets people in as restricted does", func(p pair) pair {
			if p.Action.Type != room.Join || p.Version() < 8 || p.Version() > 9 || p.joinRule() != "knock_restricted" {
				return p
			}
			return p.edit(joinRulesKey, func(c content) { c.set("join_rule", "restricted") })
		}},
		{"a join rule that the version does not know lets the invited in", answers(allowed, func(p pair) bool {
			m := p.membership(p.Action.Sender)
			return p.Rule == room.RuleJoinRuleUnknown && (m == "invite" || m == "join") &&
				p.joinRule() != "restricted" && p.joinRule() != "knock_restricted"
		})},
		{"v7–v9: knock_restricted lets people knock", func(p pair) pair {
			if p.Action.Type != room.Knock || p.Version() < 7 || p.Version() > 9 || p.joinRule() != "knock_restricted" {
				return p
			}
			return p.edit(joinRulesKey, func(c content) { c.set("join_rule", "knock") })
		}},
		{"who is not in the room may leave it", answers(allowed, func(p pair) bool {
			return p.Rule == room.RuleLeaveNotInRoom && p.membership(p.Action.Sender) == "leave"
		})},
		{"v1–v6: a knock may be taken back", answers(allowed, func(p pair) bool {
			return p.Rule == room.RuleLeaveNotInRoom && p.membership(p.Action.Sender) == "knock"
		})},
		{"an unban needs the ban level alone", answers(allowed, func(p pair) bool {
			return (p.Rule == room.RuleKickPower || p.Rule == room.RuleKickOutranked) && p.membership(p.Action.Target) == "ban"
		})},
	}
}

func serverlibForm() []deviation {
	isChange := func(p pair) bool { return p.Action.Type == room.SetPowerLevels }
	return []deviation{
		{"v10 and up: null is no level, or 0 in a map", func(p pair) pair {
			if !isChange(p) || p.Version() < 10 {
				return p
			}
			return p.editAction(func(c content) {
				for _, name := range namedLevels() {
					if string(c[name]) == "null" {
						delete(c, name)
					}
				}
				for _, name := range []string{"users", "events", "notifications"} {
					inner := c.object(name)
					for key, value := range inner {
						if string(value) == "null" {
							inner.set(key, 0)
						}
					}
					if inner != nil {
						c.set(name, inner)
					}
				}
			})
		}},
		{"null is a map", func(p pair) pair {
			if !isChange(p) {
				return p
			}
			return p.editAction(func(c content) {
				for _, name := range []string{"users", "events", "notifications"} {
					if string(c[name]) == "null" {
						delete(c, name)
					}
				}
			})
		}},
		{"v1–v9: numbers beyond int64 wrap, strings beyond it are refused", func(p pair) pair {
			if !isChange(p) || p.Version() > 9 {
				return p
			}
			return p.editAction(wrapLevels)
		}},
	}
}

// wrapLevels converts numbers that are no int64 as the library does: by float64, in the machine's own way. Strings that
// are none become null, which is refused.
func wrapLevels(c content) {
	for key, value := range c {
		if inner := c.object(key); inner != nil {
			wrapLevels(inner)
			c.set(key, inner)
			continue
		}
		digits := strings.TrimSpace(strings.Trim(string(value), `"`))
		_, err := strconv.ParseInt(digits, 10, 64)
		if f, notFloat := strconv.ParseFloat(digits, 64); err == nil || notFloat != nil {
			continue
		} else if value[0] != '"' {
			c.set(key, int64(f))
		} else {
			c.set(key, nil)
		}
	}
}

func serverlibLevels() []deviation {
	step := func(change func(*levelDevice)) func(pair) pair {
		return func(p pair) pair {
			if !comparesLevels(p) {
				return p
			}
			change(&p.levels)
			p.outcome = p.levels.judge(p)
			return p
		}
	}
	return []deviation{
		{"a change of users_default is not checked", step(func(d *levelDevice) { d.ignoreUsersDefault = true })},
		{"levels that are added or removed are compared through their defaults", step(func(d *levelDevice) { d.throughDefaults = true })},
		{"a notification level can't be changed by who has just that level", step(func(d *levelDevice) { d.notificationsAbove = true })},
		{"v12: changing notification levels, creators have no more power than the power levels give them", step(func(d *levelDevice) { d.notificationsPlain = true })},
	}
}
