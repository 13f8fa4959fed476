// Package dockerfile finds the images that a Dockerfile stands on. It is pure:
// bytes in, references out; it reads no file, asks no registry and never panics
// on what it is given.
//
// [Find] is all there is to call. It knows the five places where an image can
// stand: FROM, an ARG before the first FROM that feeds it, COPY --from=,
// RUN --mount=…,from= and the "# syntax=" line. What only looks like an image is
// left out: scratch, a stage of the same file, the text of a heredoc, and a FROM
// with the comment "# basewatch: ignore" directly above it.
//
// The file is parsed by BuildKit's own parser and its variables are expanded by
// BuildKit's own shell lexer, so continuations, comments between them, heredocs,
// "# escape=`", CRLF and byte order marks mean here what they mean in a build.
// Instructions that neither of us knows are stepped over: one RUNX does not hide
// the FROM below it. An image that depends on a value that only the build has is
// an [Unresolved], never a guess.
//
// Contexts that a build replaces from outside (docker buildx --build-context)
// cannot be seen in the file: COPY --from=NAME of such a context is reported as
// the image NAME.
package dockerfile
