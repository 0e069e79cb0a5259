// Package cards asks people: a card is a question, shown as a notice in a room and decided by votes.
//
// Cards serves invitations in need of approval and knocking users. Open makes the cards of waiting rows, Vote counts a vote and closes the
// card when enough agree, Review closes a card when its question is gone, CarryOut does the work after a closed card. Every one of these
// may be called again after a crash: it goes on where it was.
//
// Knocks receives a knock and makes a card of it, or lets the user in at once, as the room's policy says.
//
// Whether a vote counts is decided here, by the voter's power level in the room of the card's question, each time votes are counted. A
// caller need not check anything. Closing a card and recording its row are one commit.
//
// This package posts nothing: the caller shows cards and outcomes. It knows no other feature.
package cards
