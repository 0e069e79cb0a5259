// Package cards asks people: a card is a question, shown as a notice in a room, that votes decide.
//
// Cards serves invitations that need approval and users who knock. Open makes the cards of rows that wait, Vote counts a vote and closes the
// card when enough agree, Review closes a card whose question is gone, CarryOut does what a closed card leads to. Every one of these may be
// called again after a crash: it goes on where it was.
//
// Knocks receives a knock and makes a card of it, or lets the user in at once, as the room's policy says.
//
// Whether a vote counts is decided here, by the voter's power level in the room that the card is about, each time votes are counted. A
// caller need not check anything. Closing a card and the row that follows from it are one commit.
//
// This package posts nothing: the caller shows cards and outcomes. It knows no other feature.
package cards
