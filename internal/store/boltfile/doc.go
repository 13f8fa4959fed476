// Package boltfile looks after a bbolt file as a file, whatever stands in it:
//
//   - [Create] makes it whole or not at all, and leaves a marker beside it.
//   - [Find] says what is at a path: nothing yet, a file, or only the marker of
//     a file that is lost.
//   - [Open] takes its lock, refuses file systems that bbolt does not work on,
//     and has the file checked first when it was not closed in order.
//   - [Check] reads all of it. A damaged page can end the process that touches
//     it, so that is the work of a child process.
//   - [Copy] and [Compact] write it anew.
//
// What the disk does not answer is given up after a while: no call here hangs
// for ever.
package boltfile
