package room

// The event types that Usher reads or sends: the state read by authorization, other state, messages.
const (
	TypeCreate      = "m.room.create"
	TypeMember      = "m.room.member"
	TypeJoinRules   = "m.room.join_rules"
	TypePowerLevels = "m.room.power_levels"
	TypeThirdParty  = "m.room.third_party_invite"
	TypeAliases     = "m.room.aliases"

	TypeEncryption        = "m.room.encryption"
	TypeHistoryVisibility = "m.room.history_visibility"
	TypeTombstone         = "m.room.tombstone"
	TypeCanonicalAlias    = "m.room.canonical_alias"
	TypeSpaceChild        = "m.space.child"
	TypeSpaceParent       = "m.space.parent"

	TypeMessage   = "m.room.message"
	TypeEncrypted = "m.room.encrypted"
	TypeReaction  = "m.reaction"
	TypeRedaction = "m.room.redaction"
)
