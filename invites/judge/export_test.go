package judge

// Kept returns how many policy lists are remembered.
func (s *Lists) Kept() int { return len(s.kept) }
