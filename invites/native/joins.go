package native

import (
	"context"

	"usher/policy"
	"usher/room"
)

// join decides on a join. MayJoin can only refuse a join that the homeserver would allow. MayMakeJoin may be the one reason to allow it, where
// the join rules of the room leave that to Usher: then the policy has to admit the user, and what Usher can't see decides nothing.
func (n *Native) join(ctx context.Context, q Question) (Answer, error) {
	if q.Sender == n.Self.Bot {
		return allowed, nil
	}
	if q.Callback == MayJoin {
		p, err := n.governing(ctx, q.Room)
		if err != nil || p == nil || p.Fault() == nil && p.Document.Join == (policy.Join{}) {
			return allowed, err
		}
	} else if in, err := n.Rooms.In(ctx, q.Room); err != nil || !in {
		return Answer{Verdict: room.Unknown, Code: string(policy.CodeNoView)}, err
	}
	j, err := n.Judge.Join(ctx, q.Room, q.Sender)
	if err != nil || j.Decision.Verdict == room.Unknown {
		return Answer{Verdict: room.Unknown, Code: string(j.Decision.Code)}, err
	}
	if j.Decision.Verdict == room.Allow && j.Asks && q.Callback == MayMakeJoin {
		admitted, breaker, err := n.Admissions.Admits(ctx, q.Room, q.Sender)
		if err != nil {
			return Answer{Verdict: room.Unknown}, err
		}
		if !admitted {
			j.Decision = policy.Decision{Code: policy.CodeNotAdmitted, Side: policy.SidePolicy}
		} else if no := n.Limits.Admit(q.Room, q.Sender, breaker); no != nil {
			j.Decision = *no
		}
	}
	if j.Decision.Verdict == room.Allow {
		return allowed, nil
	}
	return Answer{Code: string(j.Decision.Code), Reason: j.Explain().Sentence}, nil
}
