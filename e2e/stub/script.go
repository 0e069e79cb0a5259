package stub

import "usher/e2e/fault"

// Fault is what becomes of requests instead of an answer.
type Fault = fault.Fault

// Script sets the faults from now on, in place of those before.
func (s *Server) Script(faults ...Fault) { s.script.Set(faults...) }

// Add sets one more fault.
func (s *Server) Add(f Fault) { s.script.Add(f) }
