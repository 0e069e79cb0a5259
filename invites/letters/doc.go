// Package letters invites people by e-mail: a letter has a link for one person (package links), and whoever has the letter uses it with the
// Matrix ID of their choice.
//
// Letters has the use cases, each with its authorization: Ask, Again, Revoke, Open and Why for the chat, Block for the page behind the link
// in a letter by which its recipient ends all letters. Postman sends what is queued.
//
// A letter is a row from the command on. It goes out at least once: the row is settled after the mail server took the letter, so a process that is
// killed between the two sends it again. The second copy has the same Message-ID and opens the same link, which works once. The other choice,
// to settle first, would lose letters without a trace.
//
// The secret of a letter's link is made for each try to send it and is never stored, only its hash. An address is stored until the
// letter is used, expired, revoked or refused; then only its keyed hash stays, for the limits, and for the list of people who want no
// letters. Errors and logs of this package hold no address.
package letters
