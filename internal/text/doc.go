// Package text makes untrusted text harmless and durations readable. Labels,
// annotations, tags and error texts of registries and receivers are untrusted.
//
//   - [Plain] makes one harmless line of anything: for terminals, log lines and
//     plain-text fields. Everything untrusted passes through it first.
//   - [EscapeSlack] is for text that goes into Slack's mrkdwn after that.
//   - [Cut] bounds a length in runes and shows that it did.
//   - [Template] is a text/template with bounds, that escapes what it prints.
//   - [Age], [Compact] and [Span] say how long something took or is ago.
package text
