package room

// Needs names the state needed for the verdict on an action, no more: the state which Authorize may read of a room of any
// version, given this action.
func Needs(a Action) []Key {
	create, joinRules, levels := Key{Type: TypeCreate}, Key{Type: TypeJoinRules}, Key{Type: TypePowerLevels}
	sender, target := MemberKey(a.Sender), MemberKey(a.Target)
	var content parsedContent
	a.parse(&content)
	self := a.Sender == a.Target
	switch a.Type {
	case Invite:
		if tpi := content.Get("third_party_invite"); tpi.Exists() {
			keys := []Key{create, target}
			if token, ok := thirdPartyToken(tpi); ok {
				keys = append(keys, Key{TypeThirdParty, token})
			}
			return keys
		}
		if self {
			return []Key{create, sender, levels}
		}
		return []Key{create, sender, target, levels}
	case Join:
		if !self {
			return []Key{create}
		}
		keys := []Key{create, sender, joinRules}
		if user := authoriser(content.Value); user != "" {
			keys = append(keys, MemberKey(user), levels)
		}
		return keys
	case Knock:
		if !self {
			return []Key{create, joinRules}
		}
		return []Key{create, joinRules, sender}
	case Leave, Kick, Unban:
		if self {
			return []Key{create, sender}
		}
		return []Key{create, sender, target, levels}
	case Ban, ThirdParty, SetJoinRules, SetPowerLevels:
		return []Key{create, sender, levels}
	}
	return nil
}
