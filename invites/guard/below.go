package guard

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites/judge"
)

// RefreshBelow refreshes all rooms below a room, which may inherit its policy.
func (g *Guard) RefreshBelow(ctx context.Context, r id.RoomID) error {
	claims, err := g.Store.SpaceChildren(ctx)
	if err != nil {
		return err
	}
	children := map[id.RoomID][]id.RoomID{}
	for _, claim := range claims {
		children[claim.Space] = append(children[claim.Space], claim.Child)
	}
	seen := map[id.RoomID]bool{r: true}
	for depth, level := 0, []id.RoomID{r}; depth < judge.MaxAbove && len(level) > 0; depth++ {
		var below []id.RoomID
		for _, space := range level {
			for _, child := range children[space] {
				if seen[child] {
					continue
				}
				if err := g.Refresh(ctx, child); err != nil {
					return err
				}
				seen[child] = true
				below = append(below, child)
			}
		}
		level = below
	}
	return nil
}
