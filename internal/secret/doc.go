// Package secret holds values that must not be seen. A [Secret] prints as ***
// wherever it is printed, logged or encoded, and is read from where the user
// keeps it: a literal, "env:NAME" or "file:/path" (one trailing newline
// trimmed; a file is read again when it changes). Missing or empty is an error
// that names the place, never the value.
//
// Ask for the [Secret.Value] when it is needed, not when the program starts:
// so a rotated file is used with the next request, and no copy lives longer
// than that.
package secret
