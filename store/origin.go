package store

import "usher/invites"

// Versions before the seventh schema wrote no origin. They told the origins apart by the shape of a row, and so does updateOrigin, once
// a row is claimed: withdrawals by expiry had an action of their own, an automatic join stands beside its invitation, the answer to a
// knock has a card, and a removal by the guard belongs to a state event. A knock decided by vote has the vote of the actor.
const (
	updateOrigin = `UPDATE invitation SET event_id = CASE WHEN action = 'expire' THEN '' ELSE command END, origin = CASE
		WHEN action = 'expire' THEN 'expiry'
		WHEN action = 'join' AND EXISTS (SELECT 1 FROM invitation i WHERE i.cmd = invitation.cmd AND i.command = invitation.command
			AND i.target = invitation.target AND i.action = 'invite') THEN 'auto_join'
		WHEN EXISTS (SELECT 1 FROM card c JOIN vote v ON v.card = c.id WHERE c.room_id = invitation.room_id AND c.kind = 'knock'
			AND c.command = invitation.command AND v.voter = invitation.actor) THEN 'card'
		WHEN EXISTS (SELECT 1 FROM card c WHERE c.room_id = invitation.room_id AND c.kind = 'knock' AND c.command = invitation.command) THEN 'knock'
		WHEN action = 'kick' AND actor = performer AND EXISTS (SELECT 1 FROM inbox e WHERE e.event_id = invitation.command
			AND e.state_key IS NOT NULL) THEN 'guard'
		ELSE 'command' END WHERE id = $1`
	selectChange = `SELECT ` + changeColumns + ` FROM invitation WHERE id = $1`
)

// withOrigins gives an origin to claimed rows recorded by an older version.
func withOrigins(t *tx, rows []invites.Change) error {
	for i := range rows {
		if rows[i].Origin != "" {
			continue
		}
		if _, err := t.exec(updateOrigin, rows[i].ID); err != nil {
			return err
		}
		if err := t.query(into(&rows[i], changeFields), selectChange, rows[i].ID); err != nil {
			return err
		}
	}
	return nil
}
