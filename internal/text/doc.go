// Package text makes untrusted text harmless and numbers readable: escaping
// for Slack and the terminal, control and bidi characters taken out, cutting
// by rune, short digests, ages. Labels, annotations, tags and error texts of
// registries are untrusted.
package text
