package bot

import (
	"context"
	"time"
)

// latePause is how long a start leaves alone the rows at which an earlier process was when it was killed. A homeserver finishes a request
// after its client is gone, and the room shows the result only then. Synapse's own pause before a refusal is half a second; an invitation
// takes longer than two only where a remote server is slow.
const latePause = 2 * time.Second

// resume releases the rows with a lease of an earlier process, and wakes them after a pause, while work lasts. No other
// process can hold a lease now. If this process ends before the pause is over, the sweep of the next
// one finds the rows.
func (b *bot) resume(ctx, work context.Context) error {
	at := time.Now().Add(latePause)
	rows, err := b.store.Release(ctx, at)
	if err != nil || len(rows) == 0 {
		return err
	}
	b.log.Info().Int("rows", len(rows)).Msg("Rows of an earlier process")
	time.AfterFunc(time.Until(at)+time.Second, func() { // the lanes, which answer, go first
		if err := b.jobs.Wake(work, time.Now(), rows...); err != nil && work.Err() == nil {
			b.log.Warn().Err(err).Msg("Rows left to the sweep")
		}
	})
	return nil
}
