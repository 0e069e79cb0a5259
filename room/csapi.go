package room

// ClientAPI judges an action as a homeserver's client API does.
func ClientAPI(s *Snapshot, a Action) Result { return Authorize(s, a) }
