package bot

import (
	"context"
	"time"
)

// latePause is how long a start leaves alone what an earlier process was doing when it was killed. A homeserver finishes what it was
// asked for after its asker is gone, and only when it has does the room show it. Synapse's own pause before a refusal is half a
// second; an invitation takes longer than two only where a remote server is slow.
const latePause = 2 * time.Second

// resume takes up what was under way when an earlier process ended. No other process can hold a lease on a database that this one has
// to itself. All else goes on at once. Should this one end before the pause is over, the next one's sweep finds the rows.
func (b *bot) resume(ctx context.Context) error {
	at := time.Now().Add(latePause)
	rows, err := b.store.Release(ctx, at)
	if err != nil || len(rows) == 0 {
		return err
	}
	b.log.Info().Int("rows", len(rows)).Msg("an earlier process was stopped amid these; they are looked at in a moment")
	time.AfterFunc(time.Until(at)+time.Second, func() { // the lanes, which answer, go first
		if err := b.jobs.Wake(b.ctx, time.Now(), rows...); err != nil && b.ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("what was under way is left to the sweep")
		}
	})
	return nil
}
