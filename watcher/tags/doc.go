// Package tags knows the order of image tags: which of them are one family,
// which of a family is newer, and what a pattern such as 3.x-slim means.
//
// A tag is read as
//
//	prefix  numbers  prerelease  suffix
//	v       3.13.1   rc2         -slim
//
// [Parse] takes it apart, [Compare] orders two tags, and a [Pattern] picks the
// tags of one family out of a repository's list, newest first.
//
// The rules, all of them about not comparing what does not compare:
//
//   - A suffix says what the image is good for (-slim, -alpine3.22,
//     -jdk-noble), so tags are of one family only if it is the same, letter for
//     letter. The same holds for the prefix.
//   - 3.13 moves with each patch release and 3.13.1 does not, so tags are of one
//     family only if they have as many numbers, with the same separators.
//   - Numbers compare as numbers: 3.9 is older than 3.13, 22.04 than 24.04,
//     bookworm-20251020 than bookworm-20251103.
//   - A date is no version: 20250108 and 3 are not of one family.
//   - A prerelease (3.15.0a1, 8.4-rc1, 26-ea-21) is older than its release, and
//     no pattern means it unless the pattern has the word itself.
//   - Codenames (bookworm, noble, jod) have the order of their releases.
//
// Nothing here does I/O. All values are immutable and safe for concurrent use.
package tags
