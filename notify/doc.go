// Package notify tells people, and machines that want to know like people do.
// Each type here is an outbox.Receiver for one kind of [notify.NAME] table:
//
//   - [Slack], kind "slack": Block Kit, over an incoming webhook or, with a bot
//     token, into any channel and with one thread per change.
//   - [Email], kind "email": mail as text and HTML, through one server.
//   - [Chat], kind "chat": any service that shoutrrr knows, in plain text.
//   - [Webhook], kind "webhook": a signed CloudEvent.
//   - [Log], kind "log": one line.
//
// A delivery becomes a message in two steps. First a story: what is said, in
// what order, without any service's markup (story.go, and one file for each
// sort of event). Then each receiver renders and sends it: Slack's blocks are
// made in slack_blocks.go and sent in slack_hook.go and slack_api.go. The
// machine's view of an event is made in cloudevent.go and shared by webhook
// and log. Where the user wrote templates, these make title and body of
// [Fields] (template.go, fields.go).
//
// What every receiver here promises, beyond the contract of outbox.Receiver:
// one delivery is one request (two when a rotated secret or a lost thread asks
// for it); no redirect is followed; at most 512 bytes of an answer are kept,
// made harmless and free of our secrets; secrets are read when they are needed,
// so a rotated file works at once; nothing that a registry said can mention
// anybody, become a link or look like markup.
//
// To add a kind: a file with its Config (Validate included) and a type with
// Deliver, a test that hands it to outboxtest.Run, one case in the switch of
// cmd/basewatch, a section in config.example.toml and a page in docs.
package notify
