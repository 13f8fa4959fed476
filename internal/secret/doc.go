// Package secret holds values that must not be seen. A [Secret] prints as ***
// wherever it is printed, logged or encoded, and is read from where the user
// keeps it: a literal, "env:NAME" or "file:/path" (one trailing newline
// trimmed; read again when the file changes). Missing or empty is an error
// that names the place, never the value.
package secret
