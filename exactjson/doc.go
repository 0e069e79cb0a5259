// Package exactjson reads JSON as Matrix needs it read. It is the only reader of event content in Usher: encoding/json folds the
// case of keys, so with it "ſender" (U+017F) sets "sender" and "CONTENT" adds to "content", and homeservers pass such keys on.
//
// Three rules hold for every function here:
//
//   - Keys are compared byte by byte, after their escapes are decoded.
//   - An object with a key twice has no value for the key: Find returns nil, Parse fails.
//   - Text other than JSON (RFC 8259), or in invalid UTF-8, has no values. Depth does not matter: nothing here recurses.
//
// There are three ways to read:
//
//   - Get and Text look up one value by its path, for example Text(event, "content", "membership"). Find returns the bytes of the
//     value, Items and Members iterate over an array or an object. They copy nothing except the value.
//   - Parse builds a tree of Values in one pass and tells whether canonical JSON can hold it. Package room checks events with it.
//   - Walk and the Skip functions scan a text in place, with indexes into it. The intake takes transactions apart with them, and
//     SkipBalanced finds the end of a malformed event, so the event after it can be read.
//
// This package knows nothing of Matrix events.
package exactjson
