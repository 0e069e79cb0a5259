package requests

import (
	"context"

	"usher/invites"
	"usher/invites/judge"
)

// Planning is Requests for plans.
type Planning struct{ *Requests }

// Foresee decides on the targets of a plan's request without doing anything, by the decision of Plan. It has no bound on their number.
func (s Planning) Foresee(ctx context.Context, req Request) ([]judge.Judgement, error) {
	judged, err := s.Judge.Each(ctx, req.Room, s.questions(req), s.reader(req))
	if err == nil {
		s.Limits.Foretell(judged)
	}
	return judged, err
}

// Plan is Ask for a request of a plan, which has a Key and no Command. Nobody's commands name its targets, so the limit on these does not
// count them. Where the policy wants approval, the row is refused: nobody waits for the answers.
func (s Planning) Plan(ctx context.Context, req Request) ([]invites.Change, error) {
	return s.ask(ctx, req)
}
