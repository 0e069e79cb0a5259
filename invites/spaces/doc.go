// Package spaces invites people to a space and to the rooms in it.
//
// Tree shows the rooms of a space as the asker may see them, and the standing of one person in each: who is let in by membership of the space
// needs no invitation. Invite acts on that: the space first, and the other rooms when the person has joined it. Until then the store keeps
// them, and Sweep looks at the state of the space, so a lost event delays them only. Each room is judged by the same judge as any
// invitation, at the time when it is sent.
//
// A room that the asker may not see is never named.
package spaces
