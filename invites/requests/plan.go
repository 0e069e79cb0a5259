package requests

import (
	"context"

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

// Plan records a request of a plan, which has a Key and no Command, in batches, and hands the rows to the queue. A second call for the same key goes
// on where the first one ended. Nobody's commands name its targets, so the limit on these does not count them. Where the policy wants approval, the
// row is refused: nobody waits for the answers.
func (s Planning) Plan(ctx context.Context, req Request) error { return Bulk(s).begin(ctx, req) }
