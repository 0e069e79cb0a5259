// Package welcome greets people who come into a room after an invitation through the bot, as the room's policy says.
//
// The commit that ends such an invitation notes whom to greet (store.toWelcome). Next makes the messages of a room, one at a time: it asks the
// policy, gathers the people who came meanwhile, and keeps which people a message is for before it is sent. So after a crash the same message goes
// out again under the same transaction id, and nobody is greeted twice. Package chat sends it and calls Sent.
//
// The bot says the words of other people here: those of the policy's author, or those of the maker of a link. So each of them must be able to
// speak in the room today.
package welcome
